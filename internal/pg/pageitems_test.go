package pg_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"zenith/internal/pg"
)

// model is a page's items as a list; an unused line pointer is nil.
type model [][]byte

// check asks that the page holds the model's items and is packed as packed says:
// without gaps between pd_upper and pd_special.
func (m model) check(t *testing.T, page pg.Page, packed bool) {
	t.Helper()
	if int(page.MaxOffset()) != len(m) {
		t.Fatalf("%d line pointers, want %d", page.MaxOffset(), len(m))
	}
	used := 0
	for i, want := range m {
		off := pg.OffsetNumber(i + 1)
		if want == nil {
			if page.ItemID(off) != 0 {
				t.Fatalf("item %d: line pointer %08x, want unused", off, page.ItemID(off))
			}
			continue
		}
		got, err := page.Item(off)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("item %d: %x, want %x", off, got, want)
		}
		used += pg.MaxAlign(len(want))
	}
	if packed && int(page.Special()-page.Upper()) != used {
		t.Fatalf("%d bytes of items from %d to %d", used, page.Upper(), page.Special())
	}
}

func randomItem(rnd *rand.Rand, most int) []byte {
	b := make([]byte, 1+rnd.IntN(most))
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func newPage(special int) pg.Page {
	p := make(pg.Page, pg.BlockSize)
	p.Init(special)
	return p
}

// filled makes a page with n random items, inserted at random places, so that their
// order on the page is not that of their line pointers unless sorted.
func filled(t *testing.T, rnd *rand.Rand, n int, sorted bool) (pg.Page, model) {
	t.Helper()
	page := newPage(16)
	var m model
	for i := range n {
		at := i
		if !sorted {
			at = rnd.IntN(i + 1)
		}
		item := randomItem(rnd, 60)
		if off, err := page.AddItem(item, pg.OffsetNumber(at+1), 0); err != nil || int(off) != at+1 {
			t.Fatalf("add item at %d: %d, %v", at+1, off, err)
		}
		m = slices.Insert(m, at, item)
	}
	m.check(t, page, true)
	return page, m
}

func TestAddItem(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	page, m := filled(t, rnd, 50, false)

	// A free line is used if the hint says that there is one, and it is right.
	page.SetItemID(7, 0)
	item := []byte("eleven byte")
	if off, err := page.AddItem(item, 0, 0); err != nil || off != 51 {
		t.Fatalf("without the hint: %d, %v", off, err)
	}
	page.SetFlag(pg.PDHasFreeLines)
	if off, err := page.AddItem(item, 0, 0); err != nil || off != 7 {
		t.Fatalf("with the hint: %d, %v", off, err)
	}
	if off, err := page.AddItem(item, 0, 0); err != nil || off != 52 || page.Flags()&pg.PDHasFreeLines != 0 {
		t.Fatalf("with a wrong hint: %d, %v, flags %x", off, err, page.Flags())
	}
	m[6] = item
	m = append(m, item, item)
	m.check(t, page, false)

	for name, add := range map[string]func() (pg.OffsetNumber, error){
		"beyond the end":      func() (pg.OffsetNumber, error) { return page.AddItem(item, 54, 0) },
		"over a used line":    func() (pg.OffsetNumber, error) { return page.AddItem(item, 3, pg.AddOverwrite) },
		"no room":             func() (pg.OffsetNumber, error) { return page.AddItem(make([]byte, 8000), 0, 0) },
		"too many for a heap": func() (pg.OffsetNumber, error) { return newHeap(t).AddItem(nil, 0, pg.AddIsHeap) },
	} {
		if _, err := add(); !errors.Is(err, pg.ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", name, err)
		}
	}
	m.check(t, page, false)
}

// newHeap has as many line pointers as a heap page may.
func newHeap(t *testing.T) pg.Page {
	page := newPage(0)
	for range pg.MaxHeapTuplesPerPage {
		if _, err := page.AddItem([]byte{1}, 0, pg.AddIsHeap); err != nil {
			t.Fatal(err)
		}
	}
	return page
}

// The bytes that pad an item are left as they were.
func TestAddItemKeepsPadding(t *testing.T) {
	page := newPage(0)
	for i := pg.PageHeaderSize; i < pg.BlockSize; i++ {
		page[i] = 0xAB
	}
	if _, err := page.AddItem([]byte{1, 2, 3}, 0, 0); err != nil {
		t.Fatal(err)
	}
	if want := []byte{1, 2, 3, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB}; !bytes.Equal(page[pg.BlockSize-8:], want) {
		t.Errorf("got %x, want %x", page[pg.BlockSize-8:], want)
	}
}

func TestRepairFragmentation(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	for i := range 400 {
		page, m := filled(t, rnd, 1+rnd.IntN(120), i%2 == 0)
		lose := 1 + rnd.IntN(10)
		for j := range m {
			if rnd.IntN(10) < lose {
				// Whatever an unused line pointer had is forgotten.
				page.SetItemID(pg.OffsetNumber(j+1), page.ItemID(pg.OffsetNumber(j+1)).WithFlags(pg.LPUnused))
				m[j] = nil
			}
		}
		before := bytes.Clone(page)
		if err := page.RepairFragmentation(); err != nil {
			t.Fatal(err)
		}
		for len(m) > 0 && m[len(m)-1] == nil {
			m = m[:len(m)-1]
		}
		m.check(t, page, true)
		checkOrder(t, page)
		hint := slices.ContainsFunc(m, func(b []byte) bool { return b == nil })
		if (page.Flags()&pg.PDHasFreeLines != 0) != hint {
			t.Fatalf("free lines: flags %x, want %v", page.Flags(), hint)
		}
		// Free space keeps what was there: it is part of what stock redo leaves.
		old := pg.Page(before)
		if !bytes.Equal(page[old.Lower():page.Upper()], before[old.Lower():page.Upper()]) {
			t.Fatal("free space was written")
		}
	}
}

// checkOrder asks that items lie in the order of their line pointers.
func checkOrder(t *testing.T, page pg.Page) {
	t.Helper()
	at := int(page.Special())
	for off := pg.FirstOffsetNumber; off <= page.MaxOffset(); off++ {
		if id := page.ItemID(off); id.HasStorage() {
			if at -= pg.MaxAlign(id.Length()); id.Offset() != at {
				t.Fatalf("item %d lies at %d, want %d", off, id.Offset(), at)
			}
		}
	}
}

// Dead lines keep their place though they have no storage; redirects, too.
func TestRepairFragmentationKeepsLinesWithoutStorage(t *testing.T) {
	page, m := filled(t, rand.New(rand.NewPCG(3, 3)), 10, true)
	page.SetItemID(4, pg.MakeItemID(0, pg.LPDead, 0))
	page.SetItemID(10, pg.MakeItemID(5, pg.LPRedirect, 0))
	if err := page.RepairFragmentation(); err != nil {
		t.Fatal(err)
	}
	if page.MaxOffset() != 10 || !page.ItemID(4).IsDead() || !page.ItemID(10).IsRedirected() || page.ItemID(10).Offset() != 5 {
		t.Fatal("a line pointer changed")
	}
	checkOrder(t, page)
	if got, err := page.Item(5); err != nil || !bytes.Equal(got, m[4]) {
		t.Fatalf("item 5: %x, %v", got, err)
	}
}

func TestTruncateLinePointerArray(t *testing.T) {
	for _, c := range []struct {
		used string // u: used, -: not
		want int
		hint bool
	}{
		{"uuu", 3, false}, {"uu--", 2, false}, {"-u--", 2, true}, {"----", 1, true}, {"u-u", 3, true}, {"-", 1, true},
	} {
		page := newPage(0)
		for i, u := range c.used {
			if _, err := page.AddItem([]byte{byte(i)}, 0, 0); err != nil {
				t.Fatal(err)
			}
			if u == '-' {
				page.SetItemID(pg.OffsetNumber(i+1), 0)
			}
		}
		page.TruncateLinePointerArray()
		if int(page.MaxOffset()) != c.want || (page.Flags()&pg.PDHasFreeLines != 0) != c.hint {
			t.Errorf("%s: %d lines, flags %x; want %d, %v", c.used, page.MaxOffset(), page.Flags(), c.want, c.hint)
		}
	}
}

func TestIndexDeletes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	for i := range 300 {
		page, m := filled(t, rnd, 5+rnd.IntN(100), i%3 == 0)
		n := rnd.IntN(5)
		if i%2 == 0 {
			n = rnd.IntN(len(m) + 1)
		}
		var offs []pg.OffsetNumber
		for _, j := range rnd.Perm(len(m))[:min(n, len(m))] {
			offs = append(offs, pg.OffsetNumber(j+1))
		}
		slices.Sort(offs)
		one := pg.Page(bytes.Clone(page))
		if err := page.IndexMultiDelete(offs); err != nil {
			t.Fatal(err)
		}
		for j := len(offs) - 1; j >= 0; j-- {
			m = slices.Delete(m, int(offs[j])-1, int(offs[j]))
			if err := one.IndexTupleDelete(offs[j]); err != nil {
				t.Fatal(err)
			}
		}
		m.check(t, page, true)
		m.check(t, one, true)
		if len(offs) <= 2 && !bytes.Equal(page, one) {
			t.Fatal("one or two items are deleted one by one")
		}
		if len(offs) > 2 {
			checkOrder(t, page)
		}
	}
}

func TestIndexTupleOverwriteAndDeleteNoCompact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	for range 100 {
		page, m := filled(t, rnd, 60, false)
		for range 40 {
			j := rnd.IntN(len(m))
			off := pg.OffsetNumber(j + 1)
			if m[j] == nil {
				if err := page.IndexTupleOverwrite(off, []byte{1}); !errors.Is(err, pg.ErrCorrupt) {
					t.Fatalf("overwrite of an unused line: %v", err)
				}
				continue
			}
			switch rnd.IntN(3) {
			case 0:
				if err := page.IndexTupleDeleteNoCompact(off); err != nil {
					t.Fatal(err)
				}
				if m[j] = nil; j == len(m)-1 {
					m = m[:j]
				}
			default:
				m[j] = randomItem(rnd, 80)
				flags := page.ItemID(off).Flags()
				if rnd.IntN(2) == 0 {
					flags = pg.LPDead
					page.SetItemID(off, page.ItemID(off).WithFlags(flags))
				}
				if err := page.IndexTupleOverwrite(off, m[j]); err != nil {
					t.Fatal(err)
				}
				if page.ItemID(off).Flags() != flags {
					t.Fatal("the line's state changed")
				}
			}
			m.check(t, page, true)
		}
	}
	page, _ := filled(t, rnd, 100, true)
	if err := page.IndexTupleOverwrite(1, make([]byte, 8000)); !errors.Is(err, pg.ErrCorrupt) {
		t.Errorf("overwrite by more than there is room for: %v", err)
	}
}

func TestSetPrunable(t *testing.T) {
	page := newPage(0)
	for _, c := range []struct{ xid, want pg.TransactionID }{
		{100, 100}, {200, 100}, {50, 50}, {0xFFFFFF00, 0xFFFFFF00}, {50, 0xFFFFFF00},
	} {
		if page.SetPrunable(c.xid); page.PruneXid() != c.want {
			t.Errorf("after %d: %d, want %d", c.xid, page.PruneXid(), c.want)
		}
	}
}

// FuzzPage: no bytes of a page make its functions do more than say that it is corrupt.
func FuzzPage(f *testing.F) {
	rnd := rand.New(rand.NewPCG(6, 6))
	page := newPage(16)
	for page.FreeSpace() > 100 {
		if _, err := page.AddItem(randomItem(rnd, 60), 0, 0); err != nil {
			f.Fatal(err)
		}
	}
	for op := range uint8(7) {
		f.Add([]byte{12, 0, 30, 40, 0, 200, 13, 0, 1}, op, uint16(3))
	}
	f.Fuzz(func(t *testing.T, edits []byte, op uint8, off uint16) {
		p := pg.Page(bytes.Clone(page))
		for ; len(edits) >= 3; edits = edits[3:] {
			p[(int(edits[0])|int(edits[1])<<8)%pg.BlockSize] = edits[2]
		}
		o := pg.OffsetNumber(off)
		var err error
		switch op % 7 {
		case 0:
			_, err = p.AddItem([]byte("item"), o, pg.AddItemFlags(op>>4))
		case 1:
			err = p.RepairFragmentation()
		case 2:
			err = p.IndexTupleDelete(o)
		case 3:
			err = p.IndexTupleDeleteNoCompact(o)
		case 4:
			err = p.IndexTupleOverwrite(o, []byte("another item, longer than it was"))
		case 5:
			err = p.IndexMultiDelete([]pg.OffsetNumber{1, 2, o, o + 1})
		case 6:
			p.TruncateLinePointerArray()
			_, err = p.Item(o)
		}
		if err != nil && !errors.Is(err, pg.ErrCorrupt) {
			t.Fatal(err)
		}
	})
}
