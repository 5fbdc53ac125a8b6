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
	w     io.Writer
	tty   bool
	began time.Time

	mu    sync.Mutex // guards what follows
	last  time.Time
	drawn bool
}

// newProgress makes a progress display on stderr. tell is given to the page server's commands, which call
// it with how far they are; end removes the bar.
func (e *environ) newProgress() (tell api.Progress, end func()) {
	if e.quiet {
		return func(string, int64, int64) {}, func() {}
	}
	p := &progress{w: e.err, tty: isTerminal(e.err), began: time.Now(), last: time.Now()}
	return p.tell, p.end
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

func (p *progress) tell(what string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	period := linePeriod
	if p.tty {
		period = barPeriod
	}
	if now.Sub(p.last) < period {
		return
	}
	p.last = now
	if !p.tty {
		fmt.Fprintf(p.w, "%s: %s\n", what, figures(done, total, now.Sub(p.began)))
		return
	}
	p.drawn = true
	fmt.Fprintf(p.w, "\r\x1b[K%s %s %s", what, bar(done, total), figures(done, total, now.Sub(p.began)))
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

// figures says in words how much of total is done, and how long the rest may take at the same speed.
func figures(done, total int64, elapsed time.Duration) string {
	elapsed = elapsed.Round(time.Second)
	if total <= 0 {
		return fmt.Sprintf("%d, %v", done, elapsed)
	}
	s := fmt.Sprintf("%d%%, %d of %d, %v", done*100/total, done, total, elapsed)
	if done > 0 && done < total {
		left := time.Duration(float64(elapsed) / float64(done) * float64(total-done))
		s += fmt.Sprintf(", %v to go", left.Round(time.Second))
	}
	return s
}
