// Package storetest is the contract of store.Store, as tests that any implementation runs.
package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"zenith/repo/store"
)

// Maker makes stores for a test.
type Maker interface {
	// Open opens the test's store: empty at first, later with what it had when it was closed.
	Open(t *testing.T) store.Store
	// Crash gives a store with what would be left of s, which is open, if the process died now. It
	// may close s.
	Crash(t *testing.T, s store.Store) store.Store
}

// Run runs all tests, each with a Maker of its own.
func Run(t *testing.T, newMaker func(t *testing.T) Maker) {
	for name, test := range map[string]func(*testing.T, Maker){
		"Update": testUpdate, "Prefix": testPrefix, "Seek": testSeek, "Bulk": testBulk, "BigBulk": testBigBulk,
		"Reopen": testReopen, "Crash": testCrash, "Model": testModel, "Concurrent": testConcurrent,
		"Snapshot": testIteratorLives, "CloseTwice": testCloseTwice,
		"Verify": testVerify,
	} {
		t.Run(name, func(t *testing.T) { test(t, newMaker(t)) })
	}
}

func open(t *testing.T, m Maker) store.Store {
	t.Helper()
	s := m.Open(t)
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t *testing.T, s store.Store, kv ...string) {
	t.Helper()
	var ops []store.Op
	for i := 0; i < len(kv); i += 2 {
		ops = append(ops, store.Op{Key: []byte(kv[i]), Value: []byte(kv[i+1])})
	}
	if err := s.Update(ops); err != nil {
		t.Fatal(err)
	}
}

// dump gives "k=v" of all keys with a prefix.
func dump(t *testing.T, s store.Store, prefix string) (out []string) {
	t.Helper()
	it := s.Iterator([]byte(prefix))
	for it.Seek([]byte(prefix)); it.Valid(); it.Next() {
		out = append(out, entry(t, it))
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

func entry(t *testing.T, it store.Iterator) string {
	t.Helper()
	v, err := it.Value()
	if err != nil {
		t.Fatal(err)
	}
	return string(it.Key()) + "=" + string(v)
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %q\nwant %q", got, want)
	}
}

func testUpdate(t *testing.T, m Maker) {
	s := open(t, m)
	same(t, dump(t, s, ""), nil)
	put(t, s, "b", "1", "a", "2", "c", "3")
	same(t, dump(t, s, ""), []string{"a=2", "b=1", "c=3"})
	err := s.Update([]store.Op{{Key: []byte("a")}, {Key: []byte("b"), Value: []byte("4")}, {Key: []byte("b"), Value: []byte("5")}, {Key: []byte("zz")}})
	if err != nil {
		t.Fatal(err)
	}
	same(t, dump(t, s, ""), []string{"b=5", "c=3"})
	big := bytes.Repeat([]byte("x"), store.MaxUpdate-100)
	if err := s.Update([]store.Op{{Key: []byte("big"), Value: big}}); err != nil {
		t.Fatalf("an update of MaxUpdate: %v", err)
	}
	same(t, dump(t, s, "big"), []string{"big=" + string(big)})
}

func testPrefix(t *testing.T, m Maker) {
	s := open(t, m)
	put(t, s, "a", "0", "ab", "1", "ab\x00", "2", "ab\xff\xff", "3", "ac", "4", "b", "5")
	same(t, dump(t, s, "ab"), []string{"ab=1", "ab\x00=2", "ab\xff\xff=3"})
	same(t, dump(t, s, "b"), []string{"b=5"})
	same(t, dump(t, s, "aba"), nil)
	same(t, dump(t, s, "c"), nil)
}

func testSeek(t *testing.T, m Maker) {
	s := open(t, m)
	for i := 0; i < 100; i += 2 {
		put(t, s, fmt.Sprintf("k%02d", i), "v")
	}
	it := s.Iterator([]byte("k"))
	defer it.Close()
	for _, c := range []struct{ seek, want string }{
		{"k00", "k00"}, {"k01", "k02"}, {"k98", "k98"}, {"k99", ""}, {"k10", "k10"}, {"a", "k00"}, {"z", ""}, {"k50", "k50"}, {"k4", "k40"},
	} {
		it.Seek([]byte(c.seek))
		if got := key(it); got != c.want {
			t.Errorf("seek %q: on %q, want %q", c.seek, got, c.want)
		}
	}
	it.Seek([]byte("k50"))
	it.Next()
	it.Next()
	if got := key(it); got != "k54" {
		t.Errorf("two steps from k50: on %q", got)
	}
}

func key(it store.Iterator) string {
	if !it.Valid() {
		return ""
	}
	return string(it.Key())
}

func testBulk(t *testing.T, m Maker) {
	s := open(t, m)
	put(t, s, "a", "old", "b", "old")
	b := s.Bulk()
	check(t, b.Put([]byte("c"), []byte("1")))
	check(t, b.Put([]byte("a"), []byte("2")))
	check(t, b.Delete([]byte("b")))
	check(t, b.Delete([]byte("nothing")))
	check(t, b.Flush())
	b.Cancel() // does nothing after Flush
	same(t, dump(t, s, ""), []string{"a=2", "c=1"})
	// A later bulk replaces what an earlier one wrote, whatever the order of its keys.
	b = s.Bulk()
	check(t, b.Put([]byte("c"), []byte("3")))
	check(t, b.Put([]byte("b"), []byte("3")))
	check(t, b.Flush())
	same(t, dump(t, s, ""), []string{"a=2", "b=3", "c=3"})
	b = s.Bulk()
	check(t, b.Put([]byte("d"), []byte("1")))
	b.Cancel()
	check(t, s.Bulk().Flush())
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testBigBulk(t *testing.T, m Maker) {
	s := open(t, m)
	const n = 20_000
	value := bytes.Repeat([]byte("0123456789abcdef"), 8192/16)
	b := s.Bulk()
	for i := range n {
		check(t, b.Put(fmt.Appendf(nil, "k%08d", i), slices.Concat(fmt.Appendf(nil, "%08d", i), value[:i%8000])))
	}
	check(t, b.Flush())
	check(t, s.Sync())
	it := s.Iterator([]byte("k"))
	defer it.Close()
	i := 0
	for it.Seek([]byte("k")); it.Valid(); it.Next() {
		v, err := it.Value()
		check(t, err)
		if string(it.Key()) != fmt.Sprintf("k%08d", i) || len(v) != 8+i%8000 || string(v[:8]) != fmt.Sprintf("%08d", i) {
			t.Fatalf("entry %d: key %q, value of %d bytes", i, it.Key(), len(v))
		}
		i++
	}
	if i != n {
		t.Fatalf("%d entries, want %d", i, n)
	}
}

func testReopen(t *testing.T, m Maker) {
	s := m.Open(t)
	put(t, s, "a", "1", "b", "2")
	b := s.Bulk()
	check(t, b.Put([]byte("c"), []byte("3")))
	check(t, b.Flush())
	check(t, s.Update([]store.Op{{Key: []byte("a")}}))
	check(t, s.Close())
	s = open(t, m)
	same(t, dump(t, s, ""), []string{"b=2", "c=3"})
	put(t, s, "b", "4")
	same(t, dump(t, s, ""), []string{"b=4", "c=3"})
}

func testCrash(t *testing.T, m Maker) {
	s := m.Open(t)
	for i := range 300 {
		put(t, s, fmt.Sprintf("k%03d", i), "v")
	}
	check(t, s.Sync())
	put(t, s, "last", "1")
	s = m.Crash(t, s)
	t.Cleanup(func() { s.Close() })
	if got := dump(t, s, "k"); len(got) != 300 {
		t.Fatalf("%d synced entries after the crash, want 300", len(got))
	}
	same(t, dump(t, s, "last"), []string{"last=1"})
}

func testModel(t *testing.T, m Maker) {
	s := open(t, m)
	model := map[string]string{}
	rnd := rand.New(rand.NewPCG(1, 2))
	randomKey := func() string {
		return fmt.Sprintf("%c%03d", "ab"[rnd.IntN(2)], rnd.IntN(300))
	}
	for round := range 200 {
		var ops []store.Op
		for range 1 + rnd.IntN(20) {
			k, v := randomKey(), fmt.Sprint(round, rnd.IntN(100))
			if rnd.IntN(4) == 0 {
				ops = append(ops, store.Op{Key: []byte(k)})
				delete(model, k)
			} else {
				ops = append(ops, store.Op{Key: []byte(k), Value: []byte(v)})
				model[k] = v
			}
		}
		if round%3 == 0 {
			bulk(t, s, ops)
		} else {
			check(t, s.Update(ops))
		}
		if round%20 != 0 {
			continue
		}
		var want []string
		for _, k := range slices.Sorted(maps.Keys(model)) {
			want = append(want, k+"="+model[k])
		}
		same(t, dump(t, s, ""), want)
	}
}

func bulk(t *testing.T, s store.Store, ops []store.Op) {
	t.Helper()
	b := s.Bulk()
	for _, op := range ops {
		if op.Value == nil {
			check(t, b.Delete(op.Key))
		} else {
			check(t, b.Put(op.Key, op.Value))
		}
	}
	check(t, b.Flush())
}

func testConcurrent(t *testing.T, m Maker) {
	s := open(t, m)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				if err := s.Update([]store.Op{{Key: fmt.Appendf(nil, "w%d-%03d", w, i), Value: []byte("v")}}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			last := 0
			for range 50 {
				it := s.Iterator(fmt.Appendf(nil, "w%d-", w))
				n := 0
				for it.Seek(fmt.Appendf(nil, "w%d-", w)); it.Valid(); it.Next() {
					n++
				}
				if err := it.Close(); err != nil || n < last {
					t.Errorf("%d entries after %d, err %v", n, last, err)
				}
				last = n
			}
		})
	}
	wg.Wait()
	if got := dump(t, s, "w"); len(got) != 400 {
		t.Fatalf("%d entries, want 400", len(got))
	}
}

// testIteratorLives checks that an iterator gives what was there when it was made, however much is
// written meanwhile.
func testIteratorLives(t *testing.T, m Maker) {
	s := open(t, m)
	put(t, s, "a1", "1", "a2", "2", "a3", "3")
	it := s.Iterator([]byte("a"))
	defer it.Close()
	for i := range 2000 {
		put(t, s, fmt.Sprintf("b%05d", i), "x")
	}
	var got []string
	for it.Seek([]byte("a")); it.Valid(); it.Next() {
		got = append(got, entry(t, it))
	}
	same(t, got, []string{"a1=1", "a2=2", "a3=3"})
}

func testCloseTwice(t *testing.T, m Maker) {
	s := m.Open(t)
	put(t, s, "a", "1")
	check(t, s.Close())
	check(t, s.Close())
	if err := s.Update([]store.Op{{Key: []byte("b"), Value: []byte("1")}}); err == nil {
		t.Error("update of a closed store: no error")
	}
	it := s.Iterator([]byte("a"))
	it.Seek([]byte("a"))
	valid := it.Valid()
	if err := it.Close(); err == nil && !valid {
		t.Error("iterator over a closed store: nothing, and no error")
	}
}

// testVerify checks that Verify finds no damage in a sound store, whether the entries are still in
// memory or in files, and that it reads all of it.
func testVerify(t *testing.T, m Maker) {
	for range 2 {
		s := open(t, m)
		for i := range 200 {
			put(t, s, fmt.Sprintf("key %d", i), string(bytes.Repeat([]byte{byte(i)}, 1000)))
		}
		var mu sync.Mutex
		var most, total int64
		err := s.Verify(t.Context(), func(problem error) error {
			t.Errorf("found %v", problem)
			return nil
		}, func(done, of int64) {
			mu.Lock()
			defer mu.Unlock()
			most, total = max(most, done), of
		})
		if err != nil || most != total {
			t.Errorf("verify: %v, told %d bytes of %d", err, most, total)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
