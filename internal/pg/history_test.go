package pg_test

import (
	"errors"
	"reflect"
	"testing"

	"zenith/internal/pg"
)

// promoted is the history file of timeline 4 as PostgreSQL writes it: timeline 1 was promoted to 2, that to 4.
const promoted = "1\t0/3000060\tno recovery target specified\n\n2\t0/3000100\tbefore 2000-01-01 00:00:00+00\n"

func TestParseHistory(t *testing.T) {
	for _, c := range []struct {
		name, text string
		tli        pg.TLI
		want       pg.History // nil: an error
	}{
		{"two promotions", promoted, 4, pg.History{{TLI: 1}, {TLI: 2, Begin: 0x3000060}, {TLI: 4, Begin: 0x3000100}}},
		{"no ancestors", "", 2, pg.History{{TLI: 2}}},
		{"comments", "# 1 0/1\n  \n\t#x\n 1 1/0\n", 2, pg.History{{TLI: 1}, {TLI: 2, Begin: 1 << 32}}},
		{"no line end", "1\t0/8", 2, pg.History{{TLI: 1}, {TLI: 2, Begin: 8}}},
		{"no LSN", "1\n", 2, nil},
		{"bad LSN", "1 x\n", 2, nil},
		{"no number", "one 0/8\n", 2, nil},
		{"too large a number", "4294967296 0/8\n", 2, nil},
		{"numbers do not grow", "2 0/8\n1 0/10\n", 3, nil},
		{"its own ancestor", "1 0/8\n2 0/10\n", 2, nil},
		{"it goes back", "1 0/10\n2 0/8\n", 3, nil},
		{"timeline 0", "", 0, nil},
	} {
		got, err := pg.ParseHistory(c.tli, []byte(c.text))
		if !reflect.DeepEqual(got, c.want) || c.want == nil && !errors.Is(err, pg.ErrCorrupt) {
			t.Errorf("%s: %v, %v, want %v", c.name, got, err, c.want)
		}
	}
}

func TestHistory(t *testing.T) {
	const seg = 1 << 20
	// Two promotions in one segment, one at the end of a segment.
	h := pg.OnTLI(1).Switched(2, 5*seg+0x60).Switched(3, 5*seg+0x100).Switched(7, 8*seg)
	for _, c := range []struct {
		end  pg.LSN
		want pg.TLI
	}{
		{0, 1}, {5 * seg, 1}, {5*seg + 0x60, 1}, {5*seg + 0x61, 2}, {5*seg + 0x100, 2}, {5*seg + 0x108, 3}, {8 * seg, 3}, {8*seg + 8, 7}, {1 << 40, 7},
	} {
		if got := h.EndingAt(c.end); got != c.want {
			t.Errorf("wal that ends at %v is of timeline %d, want %d", c.end, got, c.want)
		}
	}
	for segno, want := range map[pg.LSN]pg.TLI{4: 1, 5: 3, 7: 3, 8: 7} {
		for _, off := range []pg.LSN{0, 1, seg - 1} {
			if got := h.OfSegment(segno*seg+off, seg); got != want {
				t.Errorf("segment of %v is of timeline %d, want %d", segno*seg+off, got, want)
			}
		}
	}
	if at, next, ok := h.Left(2); at != 5*seg+0x100 || next != 3 || !ok {
		t.Errorf("timeline 2 was left at %v for %d, %v", at, next, ok)
	}
	for _, tli := range []pg.TLI{7, 4} {
		if _, _, ok := h.Left(tli); ok {
			t.Errorf("timeline %d was left", tli)
		}
	}
	if e, ok := h.Find(3); !ok || e.Begin != 5*seg+0x100 {
		t.Errorf("timeline 3: %v, %v", e, ok)
	}
	if _, ok := h.Find(4); ok || h.TLI() != 7 || h.Check() != nil {
		t.Errorf("%v: timeline 4 %v, last %d, %v", h, ok, h.TLI(), h.Check())
	}
	if !h.Extends(h) || !h.Extends(h[:2]) || h[:2].Extends(h) || h.Extends(pg.OnTLI(1).Switched(2, 5*seg)) {
		t.Errorf("%v extends others", h)
	}
	// What one timeline adds to a history that it shares with others, they do not see.
	a, b := h.Until(5*seg+0x100).Switched(8, 6*seg), h.Until(5*seg+0x100).Switched(9, 6*seg)
	if a.TLI() != 8 || b.TLI() != 9 || len(a) != 3 || h[2].TLI != 3 {
		t.Errorf("branches of %v: %v and %v", h, a, b)
	}
}

func TestAncestorHistory(t *testing.T) {
	for tli, want := range map[pg.TLI]string{1: "", 2: "1\t0/3000060\tno recovery target specified\n"} {
		got, err := pg.AncestorHistory(tli, []byte(promoted))
		if err != nil || string(got) != want {
			t.Errorf("history of %d: %q, %v, want %q", tli, got, err, want)
		}
	}
	if _, err := pg.AncestorHistory(3, []byte(promoted)); !errors.Is(err, pg.ErrCorrupt) {
		t.Errorf("history of a stranger: %v", err)
	}
}
