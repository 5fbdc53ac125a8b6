package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"zenith/internal/api"
)

// How often progress is shown.
const (
	barPeriod  = 100 * time.Millisecond
	linePeriod = 10 * time.Second
	barWidth   = 30
)

// progress shows how far a long command is: a bar on a terminal, a line every ten seconds
// elsewhere.
type progress struct {
	w   io.Writer
	tty bool
	now func() time.Time

	mu    sync.Mutex           // guards what follows
	began map[string]time.Time // when each part of the command was told of first
	last  time.Time
	drawn bool
}

// newProgress makes a progress display on stderr. tell is given to the page server's commands, which call
// it with how far they are; end removes the bar.
func (e *environ) newProgress() (tell api.Progress, end func()) {
	if e.quiet {
		return func(string, int64, int64) {}, func() {}
	}
	p := startProgress(e.err, isTerminal(e.err), time.Now)
	return p.tell, p.end
}

// startProgress makes a progress display for a command that begins now.
func startProgress(w io.Writer, tty bool, now func() time.Time) *progress {
	return &progress{w: w, tty: tty, now: now, began: map[string]time.Time{}, last: now()}
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// tell implements api.Progress.
func (p *progress) tell(what string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.began[what].IsZero() {
		p.began[what] = now
	}
	period := linePeriod
	if p.tty {
		period = barPeriod
	}
	if now.Sub(p.last) < period {
		return
	}
	p.last = now
	said := figures(done, total, now.Sub(p.began[what]))
	if !p.tty {
		fmt.Fprintf(p.w, "%s: %s\n", what, said)
		return
	}
	p.drawn = true
	fmt.Fprintf(p.w, "\r\x1b[K%s %s %s", what, bar(done, total), said)
}

// end removes the bar from the terminal.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// bar draws how much of total is done; the bar is empty if the total is not known (0).
func bar(done, total int64) string {
	full := 0
	if total > 0 {
		full = int(min(done, total) * barWidth / total)
	}
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full) + "]"
}

// An estimate of the time that is left is worth something after estimateTime, if estimatePercent is done
// by then.
const (
	estimateTime    = time.Second
	estimatePercent = 1
)

// figures says how many bytes of total are done, and how long the rest may take at the same speed.
func figures(done, total int64, elapsed time.Duration) string {
	if total <= 0 {
		return fmt.Sprintf("%s, %v", api.SizeText(done), elapsed.Round(time.Second))
	}
	done = min(done, total)
	percent := int64(100 * float64(done) / float64(total))
	s := fmt.Sprintf("%d%%, %s of %s, %v", percent, api.SizeText(done), api.SizeText(total), elapsed.Round(time.Second))
	if elapsed >= estimateTime && percent >= estimatePercent && done < total {
		left := time.Duration(float64(elapsed) / float64(done) * float64(total-done))
		s += fmt.Sprintf(", %v to go", left.Round(time.Second))
	}
	return s
}
