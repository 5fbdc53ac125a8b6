package repo

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"zenith/internal/pg"
	"zenith/repo/store"
	"zenith/repo/store/storetest"
)

// seen is a version in the store.
type seen struct {
	block pg.BlockNumber
	no    timelineNo
	lsn   pg.LSN
}

var testFork = pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1663, DBOID: 5, RelNumber: 7}}

func storeOf(t *testing.T, entries []seen) store.Store {
	t.Helper()
	s := storetest.NewMem()
	var ops []store.Op
	for _, e := range entries {
		ops = append(ops, store.Op{Key: appendVersion(appendPage(nil, testFork.Tag(e.block)), e.no, e.lsn), Value: []byte{1}})
	}
	if err := s.Update(ops); err != nil {
		t.Fatal(err)
	}
	return s
}

// naive lists the versions of a block that count for a lineage, newest first, without a cursor.
func naive(entries []seen, sights []sight, block pg.BlockNumber) (all []seen) {
	for _, s := range sights {
		var own []seen
		for _, e := range entries {
			if e.block == block && e.no == s.no && e.lsn <= s.limit {
				own = append(own, e)
			}
		}
		slices.SortFunc(own, func(a, b seen) int { return cmp.Compare(b.lsn, a.lsn) })
		all = append(all, own...)
	}
	return all
}

// randomSights makes a lineage of some of ten timelines.
func randomSights(rnd *rand.Rand) (sights []sight) {
	at := pg.LSN(8 * (1 + rnd.IntN(40)))
	for no := timelineNo(9); ; no-- {
		if rnd.IntN(2) == 0 {
			sights = append(sights, sight{no: no, cap: at, limit: at})
			at = pg.LSN(8 * rnd.IntN(int(at/8)+1))
		}
		if no == 0 {
			return sights
		}
	}
}

func TestCursorAgainstNaive(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var entries []seen
		for range rnd.IntN(150) {
			e := seen{pg.BlockNumber(rnd.IntN(4)), timelineNo(rnd.IntN(10)), pg.LSN(8 * (1 + rnd.IntN(40)))}
			if !slices.Contains(entries, e) {
				entries = append(entries, e)
			}
		}
		s := storeOf(t, entries)
		c := newCursor(s, appendRelFork(nil, kindPage, testFork))
		for range 40 {
			sights := randomSights(rnd)
			block := pg.BlockNumber(rnd.IntN(4)) // in any order
			c.reset(appendPage(nil, testFork.Tag(block)))
			checkChain(t, c, entries, sights, block, rnd.IntN(6))
			c.reset(appendPage(nil, testFork.Tag(block)))
			want := naive(entries, sights, block)
			m, at, ok := c.newest(sights)
			if ok != (len(want) > 0) || ok && (m.no != want[0].no || at != want[0].lsn) {
				t.Fatalf("seed %d: newest %v %v %v, want %v", seed, m, at, ok, want)
			}
		}
		var err error
		if c.close(&err); err != nil {
			t.Fatal(err)
		}
	}
}

// checkChain walks down the versions as pageReader.fill does, but leaves a timeline after some
// steps.
func checkChain(t *testing.T, c *cursor, entries []seen, sights []sight, block pg.BlockNumber, steps int) {
	t.Helper()
	var got, want []seen
	for _, m := range sights {
		n := 0
		for at, ok := c.find(m.no, m.limit); ok && n < steps; at, ok = c.next(m.no) {
			got = append(got, seen{block, m.no, at})
			n++
		}
		one := naive(entries, []sight{m}, block)
		want = append(want, one[:min(len(one), steps)]...)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("block %d, sights %v\ngot  %v\nwant %v", block, sights, got, want)
	}
}

func TestEachObject(t *testing.T) {
	entries := []seen{{1, 3, 8}, {1, 2, 8}, {4, 1, 16}, {4, 1, 8}, {9, 0, 8}}
	s := storeOf(t, entries)
	object := func(b pg.BlockNumber) string { return string(appendPage(nil, testFork.Tag(b))) }
	var got []pg.BlockNumber
	err := eachObject(s, appendRelFork(nil, kindPage, testFork), []string{object(12), object(4), object(0), object(4)},
		func(c *cursor, o []byte) error {
			tag, _ := parsePage(o)
			got = append(got, tag.Block)
			c.reset(o)
			c.newest([]sight{{no: 3, limit: 100}, {no: 1, limit: 8}, {no: 0, limit: 8}}) // leaves the cursor elsewhere
			return nil
		})
	if want := []pg.BlockNumber{0, 1, 4, 9, 12}; err != nil || !slices.Equal(got, want) {
		t.Fatalf("objects %v, error %v; want %v", got, err, want)
	}
}

// seekCounter is a store that counts the seeks of its iterators.
type seekCounter struct {
	store.Store
	seeks int
}

func (s *seekCounter) Iterator(prefix []byte) store.Iterator {
	return countedIterator{s.Store.Iterator(prefix), s}
}

type countedIterator struct {
	store.Iterator
	s *seekCounter
}

func (it countedIterator) Seek(key []byte) {
	it.s.seeks++
	it.Iterator.Seek(key)
}

// TestDepthCostsNoSeeks checks that a page is found with one seek along a lineage of a hundred
// timelines, or two if versions that do not count are in the way.
func TestDepthCostsNoSeeks(t *testing.T) {
	var sights []sight
	for no := timelineNo(200); no > 0; no -= 2 { // timelines with odd numbers are not in the lineage
		sights = append(sights, sight{no: no, cap: pg.LSN(no) * 8, limit: pg.LSN(no) * 8})
	}
	sights = append(sights, sight{no: 0, cap: 8, limit: 8})
	for _, c := range []struct {
		name    string
		entries []seen
		want    seen
		seeks   int
	}{
		{"in the oldest ancestor", []seen{{0, 0, 8}}, seen{0, 0, 8}, 1},
		{"in the timeline itself", []seen{{0, 0, 8}, {0, 200, 1600}}, seen{0, 200, 1600}, 1},
		{"beside a stranger", []seen{{0, 0, 8}, {0, 199, 8}}, seen{0, 0, 8}, 1},
		{"beside many strangers", []seen{{0, 0, 8}, {0, 199, 8}, {0, 199, 16}, {0, 199, 24}}, seen{0, 0, 8}, 2},
		{"in an ancestor that went on", []seen{{0, 100, 8000}, {0, 100, 8008}, {0, 100, 800}, {0, 0, 8}}, seen{0, 100, 800}, 2},
		{"nowhere", []seen{{1, 0, 8}}, seen{}, 1},
	} {
		counter := &seekCounter{Store: storeOf(t, c.entries)}
		cur := newCursor(counter, []byte{byte(kindPage)})
		cur.reset(appendPage(nil, testFork.Tag(0)))
		m, at, ok := cur.newest(sights)
		if ok != (c.want != seen{}) || ok && (m.no != c.want.no || at != c.want.lsn) {
			t.Errorf("%s: found %v %v %v, want %v", c.name, m, at, ok, c.want)
		}
		if counter.seeks != c.seeks {
			t.Errorf("%s: %d seeks, want %d", c.name, counter.seeks, c.seeks)
		}
	}
}
