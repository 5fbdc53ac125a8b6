package receiver

import (
	"errors"
	"strings"
	"testing"

	"zenith/internal/pg"
)

// TestNextTLI has branches and servers that were promoted before each other, after each other, and apart.
func TestNextTLI(t *testing.T) {
	t.Parallel()
	const a, b, c = 0x5000060, 0x5000100, 0x7000000 // where servers were promoted
	one := pg.OnTLI(1)
	two, three := one.Switched(2, a), one.Switched(2, a).Switched(3, b)
	for _, x := range []struct {
		name         string
		ours, theirs pg.History
		head         pg.LSN
		next         pg.TLI
		parted       string // where the message says that they did; "": it can be followed
	}{
		{"the same", one, one, a, 0, ""},
		{"promoted ahead of us", one, two, a - 8, 0, ""},
		{"promoted at our head", one, two, a, 2, ""},
		{"promoted behind us", one, two, a + 8, 0, "0/5000060 on timeline 1"},
		{"promoted twice ahead", one, three, a - 8, 0, ""},
		{"twice, at our head", one, three, a, 2, ""},
		{"at our head for the second time", two, three, b, 3, ""},
		{"twice, the second time behind us", two, three, b + 8, 0, "0/5000100 on timeline 2"},
		{"after both", three, three, c, 0, ""},
		{"a number was left out", one, one.Switched(4, a), a, 4, ""},
		{"the old server came back", two, one, b, 0, "0/5000060 on timeline 1"},
		{"two standbys were promoted, another is followed", two, one.Switched(3, b), c, 0, "0/5000060 on timeline 1"},
		{"two of one number", two, one.Switched(2, b), c, 0, "0/5000060 on timeline 1"},
		{"two of one number, theirs earlier", one.Switched(2, b), two, c, 0, "0/5000060 on timeline 1"},
		{"two of one number, and we are at where they parted", one.Switched(2, b), two, b, 0, "0/5000060 on timeline 1"},
		{"our beginning is not known", pg.OnTLI(2), three, b, 3, ""},
		{"their beginning is not known", two, pg.OnTLI(2), c, 0, ""},
		{"no history file", one, pg.OnTLI(2), a, 0, "nothing in common"},
	} {
		next, err := nextTLI(x.ours, x.theirs, x.head, "dev")
		switch {
		case x.parted == "" && (err != nil || next != x.next):
			t.Errorf("%s: next %d, %v; want %d", x.name, next, err, x.next)
		case x.parted != "" && (!errors.Is(err, ErrTimeline) || !strings.Contains(err.Error(), x.parted)):
			t.Errorf("%s: next %d, %v; want %q", x.name, next, err, x.parted)
		}
	}
}
