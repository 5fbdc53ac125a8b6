package fusefs_test

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"zenith/fusefs"
	"zenith/internal/pg"
)

// writeSynced writes a file as PostgreSQL writes those that it must not lose: under another name,
// synced, and then renamed.
func writeSynced(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.Create(path + ".tmp")
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close(), os.Rename(path+".tmp", path)); err != nil {
		t.Fatal(err)
	}
}

// makeSlot does what CreateSlotOnDisk of slot.c does.
func makeSlot(t *testing.T, m *mounted, name, state string) {
	t.Helper()
	slot := filepath.Join(m.dir, "pg_replslot", name)
	if err := os.MkdirAll(slot+".tmp", 0o700); err != nil {
		t.Fatal(err)
	}
	writeSynced(t, slot+".tmp/state", state)
	if err := unix.Rename(slot+".tmp", slot); err != nil {
		t.Fatal(err)
	}
}

// wantGone checks that there is nothing at the paths below dir.
func wantGone(t *testing.T, dir string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(filepath.Join(dir, path)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", path, err)
		}
	}
}

// TestSaved: what PostgreSQL has made durable, and no WAL describes, is on the next mount as the server
// left it, whatever killed what: the mount's process (kill), or the server (crash).
func TestSaved(t *testing.T) {
	for _, end := range []struct {
		name string
		end  func(t *testing.T, m *mounted)
	}{
		{"kill", func(t *testing.T, m *mounted) { m.kill(t); m.end(t) }},
		{"crash", func(t *testing.T, m *mounted) { m.unmount(t) }}, // postmaster.pid is still there
		{"stop", func(t *testing.T, m *mounted) { stopServer(t, m); m.unmount(t) }},
	} {
		for _, bind := range []bool{false, true} {
			name := end.name + " served"
			if bind {
				name = end.name + " bound"
			}
			t.Run(name, func(t *testing.T) {
				s := boundSpec(t)
				s.Bind = bind
				savedOver(t, s, func(m *mounted) { end.end(t, m) })
			})
		}
	}
}

// savedOver makes, changes and removes files on three mounts, the first two of which end ends.
func savedOver(t *testing.T, s spec, end func(*mounted)) {
	const status, logical = "pg_wal/archive_status/", "pg_logical/snapshots/0-"
	m := startMount(t, s)
	pretendServer(t, m)
	for _, name := range []string{"stays", "moves", "dropped", "half"} {
		makeSlot(t, m, name, name)
	}
	if err := errors.Join(os.MkdirAll(m.dir+"/pg_logical/snapshots", 0o700), os.MkdirAll(m.dir+"/"+status, 0o700)); err != nil {
		t.Fatal(err)
	}
	writeSynced(t, m.dir+"/"+logical+"1.snap", "one")
	writeSynced(t, m.dir+"/"+logical+"2.snap", "two")
	for _, n := range []int{3, 4} {
		if err := os.WriteFile(m.dir+"/"+status+segment(n)+".ready", nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	end(m)

	m = startMount(t, s)
	pretendServer(t, m)
	for _, name := range []string{"stays", "moves", "dropped", "half"} {
		wantFile(t, m.dir+"/pg_replslot/"+name+"/state", []byte(name))
		wantGone(t, m.dir, "pg_replslot/"+name+".tmp")
	}
	wantFile(t, m.dir+"/"+status+segment(4)+".ready", nil)
	writeSynced(t, m.dir+"/pg_replslot/moves/state", "has moved on")
	// A slot is dropped in two steps, as in ReplicationSlotDropPtr.
	for _, name := range []string{"dropped", "half"} {
		if err := unix.Rename(m.dir+"/pg_replslot/"+name, m.dir+"/pg_replslot/"+name+".tmp"); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(os.RemoveAll(m.dir+"/pg_replslot/dropped.tmp"), os.Remove(m.dir+"/"+logical+"1.snap"),
		os.Rename(m.dir+"/"+status+segment(3)+".ready", m.dir+"/"+status+segment(3)+".done"))
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, m.dir+"/pg_replslot/half.tmp/state", []byte("half"))
	end(m)

	m = startMount(t, s)
	wantFile(t, m.dir+"/pg_replslot/stays/state", []byte("stays"))
	wantFile(t, m.dir+"/pg_replslot/moves/state", []byte("has moved on"))
	wantFile(t, m.dir+"/pg_replslot/half.tmp/state", []byte("half"))
	wantFile(t, m.dir+"/"+logical+"2.snap", []byte("two"))
	wantFile(t, m.dir+"/"+status+segment(3)+".done", nil)
	wantFile(t, m.dir+"/"+status+segment(4)+".ready", nil)
	wantGone(t, m.dir, "pg_replslot/half", "pg_replslot/dropped", "pg_replslot/dropped.tmp", logical+"1.snap", status+segment(3)+".ready")
}

// slotState gives the beginning of the state file of a slot that needs WAL from restart on.
func slotState(restart uint64) string {
	state := binary.LittleEndian.AppendUint32(nil, 0x1051CA1)
	return string(binary.LittleEndian.AppendUint64(append(state, make([]byte, 92)...), restart))
}

// TestNeededWAL: the segments that a slot or the archiver needs are in pg_wal again after a crash, and
// the branch may not remove them meanwhile. Those that the server had removed are not.
func TestNeededWAL(t *testing.T) {
	for _, c := range []struct {
		name          string
		bind          bool
		slot          int // the segment that a slot needs; 0: there is none
		ready, done   []int
		shown, needed []int
	}{
		{"slot served", false, 5, nil, nil, []int{5, 6}, []int{5, 6}},
		{"slot bound", true, 5, nil, nil, []int{4, 5, 6}, []int{4, 5, 6}},
		{"archive served", false, 0, []int{5}, []int{4}, []int{4, 5, 6}, []int{4, 5, 6}},
		{"full and not reported served", false, 0, nil, []int{4}, []int{4, 5, 6}, []int{4, 5, 6}},
		{"archive bound", true, 0, []int{5}, []int{4}, []int{4, 5, 6}, []int{4, 5, 6}},
		{"archived, and goes on, served", false, 0, []int{6}, []int{5}, []int{5, 6}, []int{5, 6}},
		{"archived, and goes on, bound", true, 0, []int{6}, []int{5}, []int{4, 5, 6}, []int{4, 5, 6}},
		{"neither served", false, 0, nil, nil, []int{6}, nil},
		{"neither bound", true, 0, nil, nil, []int{4, 5, 6}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := boundSpec(t)
			s.Bind = c.bind
			m := startMount(t, s)
			pretendServer(t, m)
			for _, n := range []int{4, 5, 6} {
				install(t, m, segment(n), make([]byte, segmentSize))
			}
			if c.slot > 0 {
				makeSlot(t, m, "slot", slotState(uint64(c.slot*segmentSize+100)))
			}
			status := m.dir + "/pg_wal/archive_status/"
			if err := os.MkdirAll(status, 0o700); err != nil {
				t.Fatal(err)
			}
			for suffix, segments := range map[string][]int{".ready": c.ready, ".done": c.done} {
				for _, n := range segments {
					if err := os.WriteFile(status+segment(n)+suffix, nil, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := os.Remove(m.dir + "/pg_wal/" + segment(3)); err != nil {
				t.Fatal(err)
			}
			m.kill(t)
			m.end(t)

			if err := fusefs.AdoptWAL(s.State, s.WALDir, fusefs.Options{}); err != nil {
				t.Fatal(err)
			}
			held, err := fusefs.NeededWAL(s.State, segmentSize)
			if err != nil {
				t.Fatal(err)
			}
			for n := 3; n <= 6; n++ {
				if got, want := held != nil && held(segment(n)), slices.Contains(c.needed, n); got != want {
					t.Errorf("segment %d is needed: %v, want %v", n, got, want)
				}
			}
			s.Disk = laterBase(t, 6)
			m = startMount(t, s)
			want := ""
			for _, n := range c.shown {
				want += segment(n) + " "
			}
			if got := listing(t, m.dir+"/pg_wal"); got != want+"archive_status" && got+" " != want {
				t.Errorf("pg_wal has %s, want %s", got, want)
			}
			for _, n := range append(c.ready, c.done...) {
				_, ready := os.Stat(m.dir + "/pg_wal/archive_status/" + segment(n) + ".ready")
				_, done := os.Stat(m.dir + "/pg_wal/archive_status/" + segment(n) + ".done")
				if reported := ready == nil || done == nil; reported != (n < 6) {
					t.Errorf("segment %d has been reported to the archiver: %v", n, reported)
				}
			}
		})
	}
}

// laterBase is controlBase, in the n-th segment.
func laterBase(t *testing.T, n int) string {
	t.Helper()
	dir := controlBase(t, pg.LSN(n*segmentSize+0x28))
	if err := os.Rename(filepath.Join(dir, "pg_wal", segment(3)), filepath.Join(dir, "pg_wal", segment(n))); err != nil {
		t.Fatal(err)
	}
	return dir
}
