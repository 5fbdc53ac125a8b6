package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"zenith/repo/store"
)

// A store of tables, with what should be in it, as it was when its process ended.
type left struct {
	dir   string // the store is DIR/store
	older string // the same store, earlier
	model map[string]string
}

// fill writes n entries in random order, some of them over and over, and deletes some.
func (l *left) fill(t *testing.T, s store.Store, rnd *rand.Rand, n int) {
	t.Helper()
	var ops []store.Op
	for range n {
		k, v := fmt.Sprintf("k%06d", rnd.IntN(3*n)), make([]byte, 500+rnd.IntN(1500))
		for i := range v {
			v[i] = byte(rnd.Uint32())
		}
		if rnd.IntN(8) == 0 {
			ops = append(ops, store.Op{Key: []byte(k)})
			delete(l.model, k)
		} else {
			ops = append(ops, store.Op{Key: []byte(k), Value: v})
			l.model[k] = string(v)
		}
		if len(ops) == 20 {
			if err := s.Update(ops); err != nil {
				t.Fatal(err)
			}
			ops = nil
		}
	}
	if err := s.Update(ops); err != nil {
		t.Fatal(err)
	}
}

// copyAtOnce copies a store that is open as a kill would leave it: again, if badger has made, emptied or removed a file
// meanwhile.
func copyAtOnce(t *testing.T, from, to string) {
	t.Helper()
	list := func() string {
		out, err := exec.Command("find", from, "-printf", "%p %s\n").CombinedOutput()
		if err != nil {
			return err.Error() + time.Now().String() // a file went away
		}
		lines := strings.Split(string(out), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	for before := ""; before == "" || before != list(); {
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		before = list()
		if out, err := exec.Command("cp", "-a", "--sparse=always", from, to).CombinedOutput(); err != nil {
			t.Logf("%v: %s", err, out)
			before = "again"
		}
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", "--sparse=always", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

const damageMemTable = 4 << 20

func openStore(dir string) (store.Store, error) {
	return store.OpenBadger(filepath.Join(dir, "store"), store.BadgerOptions{MemTable: damageMemTable})
}

// makeLeft makes a store and ends its process: by closing it, or as kill -9 does.
func makeLeft(t *testing.T, killed bool) *left {
	t.Helper()
	root := t.TempDir()
	l := &left{dir: filepath.Join(root, "left"), older: filepath.Join(root, "older"), model: map[string]string{}}
	live := filepath.Join(root, "live")
	rnd := rand.New(rand.NewPCG(7, 7))
	for _, to := range []string{l.older, l.dir} {
		s, err := openStore(live)
		if err != nil {
			t.Fatal(err)
		}
		l.fill(t, s, rnd, 2000)
		if to == l.dir {
			if err := s.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.fill(t, s, rnd, 1000)
		}
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		if killed {
			l.fill(t, s, rnd, 100)
			l.kill(t, s, live, to)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if !killed {
			copyTree(t, live, to)
		}
	}
	return l
}

// kill syncs a store and copies it as a kill would leave it, before badger has merged tables: what it deletes and makes by
// that, only its MANIFEST says, until the next sync. Nothing is written any more, so badger ends with that.
func (l *left) kill(t *testing.T, s store.Store, live, to string) {
	t.Helper()
	for {
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		synced := tables(t, live)
		copyAtOnce(t, live, to)
		copied := tables(t, to)
		if len(copied) >= len(synced) && slices.Equal(copied[:len(synced)], synced) {
			return
		}
	}
}

// tables gives the names of a store's tables, in the order of their numbers.
func tables(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, name := range files(t, dir) {
		if filepath.Ext(name) == ".sst" {
			names = append(names, name)
		}
	}
	return names
}

// damages are what happens to a file. older is what it was once, or another file of its kind.
var damages = map[string]func(content, older []byte) []byte{
	"missing":           func([]byte, []byte) []byte { return nil },
	"empty":             func([]byte, []byte) []byte { return []byte{} },
	"half":              func(b, _ []byte) []byte { return b[:len(b)/2] },
	"one byte short":    func(b, _ []byte) []byte { return b[:max(len(b)-1, 0)] },
	"garbage at start":  func(b, _ []byte) []byte { return garbage(b, 0) },
	"garbage in middle": func(b, _ []byte) []byte { return garbage(b, used(b)/2) },
	"garbage at end":    func(b, _ []byte) []byte { return garbage(b, used(b)-64) },
	"older":             func(_, old []byte) []byte { return old },
}

// used is how much of b is in front of zeros.
func used(b []byte) int { return len(bytes.TrimRight(b, "\x00")) }

func garbage(b []byte, at int) []byte {
	b, at = slices.Clone(b), max(at, 0)
	for i := at; i < min(at+64, len(b)); i++ {
		b[i] ^= byte(0xA5 + i)
	}
	return b
}

// files gives the names of the files of a store, relative to its directory's parent.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestDamage damages each file of a store in each way. Afterwards everything is read right, or the
// store says what is damaged, and no file is gone.
func TestDamage(t *testing.T) {
	for _, killed := range []bool{false, true} {
		l := makeLeft(t, killed)
		kinds := map[string]int{}
		for _, name := range files(t, l.dir) {
			kind := filepath.Ext(name)
			if kind == "" {
				kind = filepath.Base(name)
			}
			if kinds[kind]++; kinds[kind] > 2 {
				continue
			}
			for what, damage := range damages {
				t.Run(fmt.Sprintf("killed=%v/%s/%s", killed, name, what), func(t *testing.T) {
					l.damage(t, name, func(b []byte) []byte { return damage(b, l.olderOf(t, name)) })
				})
			}
		}
		if len(kinds) < 6 {
			t.Errorf("the store has files of kinds %v only", kinds)
		}
	}
}

// olderOf gives an earlier content of a file, or, of a file that never changes, that of another.
func (l *left) olderOf(t *testing.T, name string) []byte {
	t.Helper()
	if b, err := os.ReadFile(filepath.Join(l.older, name)); err == nil && filepath.Ext(name) != ".sst" {
		return b
	}
	for _, dir := range []string{l.older, l.dir} {
		for _, other := range files(t, dir) {
			if filepath.Ext(other) == filepath.Ext(name) && other != name {
				b, err := os.ReadFile(filepath.Join(dir, other))
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
		}
	}
	return nil
}

// damage damages one file and looks what comes of it.
func (l *left) damage(t *testing.T, name string, damage func([]byte) []byte) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "copy")
	copyTree(t, l.dir, dir)
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b = damage(b); b == nil {
		err = os.Remove(path)
	} else {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.judge(t, dir)
}

// judge opens a damaged store, and repairs it if it can be.
func (l *left) judge(t *testing.T, dir string) {
	t.Helper()
	before := files(t, dir)
	s, err := openStore(dir)
	if err != nil {
		if !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("refused with %v, which is no ErrCorrupt", err)
		}
		wantFiles(t, dir, before)
		done, err := store.Repair(filepath.Join(dir, "store"), slog.New(slog.DiscardHandler))
		if err != nil {
			wantFiles(t, dir, before)
			return
		}
		if done == "" {
			t.Fatal("there was nothing to repair, but the store was refused")
		}
		if s, err = openStore(dir); err != nil {
			t.Fatalf("repaired (%s), but %v", done, err)
		}
	}
	problems := verifyStore(t, s)
	wrong := l.compare(s)
	if wrong != "" && problems == 0 {
		t.Errorf("opened, sound by its own word, and %s", wrong)
	}
	if err := s.Close(); err != nil && problems == 0 {
		t.Error(err)
	}
	if problems > 0 {
		return
	}
	// And it stays like that.
	if s, err = openStore(dir); err != nil {
		t.Fatalf("opened once, and then %v", err)
	}
	defer s.Close()
	if wrong := l.compare(s); wrong != "" {
		t.Errorf("opened again, and %s", wrong)
	}
}

func wantFiles(t *testing.T, dir string, before []string) {
	t.Helper()
	now := files(t, dir)
	for _, name := range before {
		if !slices.Contains(now, name) {
			t.Errorf("%s is gone", name)
		}
	}
}

func verifyStore(t *testing.T, s store.Store) (problems int) {
	t.Helper()
	var mu sync.Mutex
	err := s.Verify(context.Background(), func(error) error {
		mu.Lock()
		defer mu.Unlock()
		problems++
		return nil
	}, func(int64, int64) {})
	if err != nil {
		t.Errorf("verify: %v", err)
	}
	return problems
}

// compare says where a store differs from what was written.
func (l *left) compare(s store.Store) string {
	want := maps.Clone(l.model)
	it := s.Iterator([]byte("k"))
	for it.Seek([]byte("k")); it.Valid(); it.Next() {
		k := string(it.Key())
		v, err := it.Value()
		if err != nil {
			it.Close()
			return err.Error()
		}
		w, there := want[k]
		if !there || w != string(v) {
			it.Close()
			return fmt.Sprintf("%s is wrong, or should not be there (%v)", k, there)
		}
		delete(want, k)
	}
	if err := it.Close(); err != nil {
		return err.Error()
	}
	if len(want) > 0 {
		return fmt.Sprintf("%d of %d entries are missing", len(want), len(l.model))
	}
	return ""
}

// TestDamageOfDirectory loses, empties and swaps whole stores.
func TestDamageOfDirectory(t *testing.T) {
	l := makeLeft(t, false)
	foreign := filepath.Join(t.TempDir(), "foreign")
	s, err := openStore(foreign)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for what, put := range map[string]string{"lost": "", "emptied": "-", "older": l.older, "foreign": foreign} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "copy")
			copyTree(t, l.dir, dir)
			if err := os.RemoveAll(filepath.Join(dir, "store")); err != nil {
				t.Fatal(err)
			}
			switch put {
			case "":
			case "-":
				if err := os.Mkdir(filepath.Join(dir, "store"), 0o700); err != nil {
					t.Fatal(err)
				}
			default:
				copyTree(t, filepath.Join(put, "store"), filepath.Join(dir, "store"))
			}
			if s, err := openStore(dir); err == nil {
				s.Close()
				t.Error("opened")
			} else if !errors.Is(err, store.ErrCorrupt) {
				t.Error(err)
			}
			if done, err := store.Repair(filepath.Join(dir, "store"), slog.New(slog.DiscardHandler)); err == nil {
				t.Errorf("repaired what cannot be: %s", done)
			}
		})
	}
}

// TestRepairManifest sees that a lost MANIFEST is made anew, of a closed store and of one that was killed.
func TestRepairManifest(t *testing.T) {
	for _, killed := range []bool{false, true} {
		l := makeLeft(t, killed)
		if err := os.Remove(filepath.Join(l.dir, "store", "MANIFEST")); err != nil {
			t.Fatal(err)
		}
		done, err := store.Repair(filepath.Join(l.dir, "store"), slog.New(slog.DiscardHandler))
		if err != nil || done == "" {
			t.Fatalf("killed %v: %q, %v", killed, done, err)
		}
		s, err := openStore(l.dir)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := l.compare(s); wrong != "" {
			t.Error(wrong)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
