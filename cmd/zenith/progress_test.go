package main

import (
	"strings"
	"testing"
	"time"
)

// TestFigures: there is no estimate before a second and a percent, nor at the end.
func TestFigures(t *testing.T) {
	const total = 20362576
	for _, tt := range []struct {
		done, total int64
		elapsed     time.Duration
		want        string
	}{
		{3, total, 13 * time.Second, "0%, 3 B of 19.4 MiB, 13s"},
		{total / 2, total, 999 * time.Millisecond, "50%, 9.7 MiB of 19.4 MiB, 1s"},
		{total / 2, total, time.Second, "50%, 9.7 MiB of 19.4 MiB, 1s, 1s to go"},
		{total / 100, total, time.Minute, "0%, 198.9 KiB of 19.4 MiB, 1m0s"},
		{total/100 + 1, total, time.Minute, "1%, 198.9 KiB of 19.4 MiB, 1m0s, 1h39m0s to go"},
		{total, total, time.Minute, "100%, 19.4 MiB of 19.4 MiB, 1m0s"},
		{total + 1, total, time.Minute, "100%, 19.4 MiB of 19.4 MiB, 1m0s"},
		{0, 50, time.Minute, "0%, 0 B of 50 B, 1m0s"},
		{5 << 30, 0, time.Minute, "5.0 GiB, 1m0s"},
		{1 << 62, 1<<63 - 1, time.Second, "50%, 4.0 EiB of 8.0 EiB, 1s, 1s to go"},
	} {
		if got := figures(tt.done, tt.total, tt.elapsed); got != tt.want {
			t.Errorf("%d of %d after %v: got %q, want %q", tt.done, tt.total, tt.elapsed, got, tt.want)
		}
	}
}

// told is a progress whose clock says what the test wants.
type told struct {
	*progress
	out   strings.Builder
	clock time.Time
}

func newTold(tty bool) *told {
	p := &told{clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	p.progress = startProgress(&p.out, tty, func() time.Time { return p.clock })
	return p
}

// after tells how far it is when some time has passed.
func (p *told) after(d time.Duration, what string, done, total int64) {
	p.clock = p.clock.Add(d)
	p.tell(what, done, total)
}

// TestProgressLines: where there is no terminal, a line comes every ten seconds; a command that takes
// less says nothing. The time of each part of a command counts from the part's own beginning.
func TestProgressLines(t *testing.T) {
	p := newTold(false)
	p.after(0, "base backup", 0, 4<<30)
	p.after(9999*time.Millisecond, "base backup", 1<<30, 4<<30)
	if p.out.Len() > 0 {
		t.Errorf("after less than ten seconds: %q", p.out.String())
	}
	p.after(time.Millisecond, "base backup", 1<<30, 4<<30)
	p.after(5*time.Second, "base backup", 2<<30, 4<<30)
	p.after(0, "import", 0, 1<<30)
	p.after(5*time.Second, "import", 1<<29, 1<<30)
	p.end()
	want := "base backup: 25%, 1.0 GiB of 4.0 GiB, 10s, 30s to go\n" +
		"import: 50%, 512.0 MiB of 1.0 GiB, 5s, 5s to go\n"
	if got := p.out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestProgressBar: on a terminal there is a bar, drawn anew ten times a second, and gone at the end.
func TestProgressBar(t *testing.T) {
	p := newTold(true)
	p.after(0, "import", 0, 100<<10)
	for range 10 {
		p.after(30*time.Millisecond, "import", 50<<10, 100<<10)
	}
	p.after(time.Second, "forget", 7, 0)
	p.end()
	const half = "[===============               ]"
	draw := "\r\x1b[Kimport " + half + " 50%, 50.0 KiB of 100.0 KiB, 0s"
	want := draw + draw + "\r\x1b[Kforget [" + strings.Repeat(" ", barWidth) + "] 7 B, 0s\r\x1b[K"
	if got := p.out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
