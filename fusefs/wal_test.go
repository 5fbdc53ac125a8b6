package fusefs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// install makes a segment as postgres does: under a temporary name, synced, renamed.
func install(t *testing.T, m *mounted, name string, p []byte) {
	t.Helper()
	temp := m.dir + "/pg_wal/xlogtemp.123"
	if err := os.WriteFile(temp, p, 0o600); err != nil {
		t.Fatal(err)
	}
	syncFile(t, temp)
	if err := os.Rename(temp, m.dir+"/pg_wal/"+name); err != nil {
		t.Fatal(err)
	}
	syncFile(t, m.dir+"/pg_wal/"+name)
	syncFile(t, m.dir+"/pg_wal")
}

// syncFile is fsync of a file or a directory.
func syncFile(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatalf("fsync %s: %v", path, err)
	}
}

func TestWALIsTheBranches(t *testing.T) {
	bothWays(t, func(t *testing.T, s spec) {
		m := startMount(t, s)
		pretendServer(t, m)
		// A segment that the base shows was copied to the branch.
		wantFile(t, filepath.Join(s.WALDir, segment(3)), pattern(segmentSize))
		// The branch is asked for it as a plain file, when it can learn already that it is held.
		m.eventually(t, "plain "+segment(3)+" true")
		install(t, m, segment(4), bytes.Repeat([]byte("4"), segmentSize))
		m.eventually(t, "synced "+segment(4))
		if got := m.said("synced xlogtemp"); len(got) > 0 {
			t.Errorf("told of a temporary file: %v", got)
		}
		f, err := os.OpenFile(m.dir+"/pg_wal/"+segment(4), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("commit"), 8192); err != nil {
			t.Fatal(err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			t.Fatal(err)
		}
		if got := readFile(t, filepath.Join(s.WALDir, segment(4)))[8192:8198]; string(got) != "commit" {
			t.Errorf("the branch has %q", got)
		}
		if got, want := listing(t, m.dir+"/pg_wal"), segment(3)+" "+segment(4); got != want {
			t.Errorf("pg_wal has %s, want %s", got, want)
		}
	})
}

func TestWALRemovedStaysInTheBranch(t *testing.T) {
	bothWays(t, func(t *testing.T, s spec) {
		m := startMount(t, s)
		pretendServer(t, m)
		install(t, m, segment(4), bytes.Repeat([]byte("4"), segmentSize))
		if err := os.Remove(m.dir + "/pg_wal/" + segment(3)); err != nil {
			t.Fatal(err)
		}
		if got := listing(t, m.dir+"/pg_wal"); got != segment(4) {
			t.Errorf("pg_wal has %s", got)
		}
		wantFile(t, filepath.Join(s.WALDir, segment(3)), pattern(segmentSize))
		// Neither it nor a segment before it may be made anew.
		for _, n := range []int{2, 3} {
			err := os.WriteFile(m.dir+"/pg_wal/"+segment(n), nil, 0o600)
			refused(t, "making "+segment(n), err, syscall.EPERM)
			if err := os.WriteFile(m.dir+"/pg_wal/xlogtemp.1", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			refused(t, "renaming to "+segment(n), os.Rename(m.dir+"/pg_wal/xlogtemp.1", m.dir+"/pg_wal/"+segment(n)), syscall.EPERM)
		}
		wantFile(t, filepath.Join(s.WALDir, segment(3)), pattern(segmentSize))
	})
}

// TestWALRecycled: a segment that is renamed to a new one stays what it is, for the branch
// and for processes that have it open; the new name is another file's.
func TestWALRecycled(t *testing.T) {
	bothWays(t, func(t *testing.T, s spec) {
		m := startMount(t, s)
		pretendServer(t, m)
		reader, err := os.OpenFile(m.dir+"/pg_wal/"+segment(3), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		for n := 4; n < 8; n++ {
			from, to := m.dir+"/pg_wal/"+segment(n-1), m.dir+"/pg_wal/"+segment(n)
			syncFile(t, from)
			stat(t, from)
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
			syncFile(t, to)
			wantFile(t, to, make([]byte, segmentSize))
			writeAt(t, to, bytes.Repeat([]byte{byte(n)}, 16384), 0)
			want := append(bytes.Repeat([]byte{byte(n)}, 16384), make([]byte, segmentSize-16384)...)
			wantFile(t, to, want)
			wantFile(t, filepath.Join(s.WALDir, segment(n)), want)
			if got := listing(t, m.dir+"/pg_wal"); got != segment(n) {
				t.Errorf("pg_wal has %s, want %s", got, segment(n))
			}
		}
		p := make([]byte, segmentSize)
		if _, err := reader.ReadAt(p, 0); err != nil || !bytes.Equal(p, pattern(segmentSize)) {
			t.Errorf("who had segment 3 open reads another: %v", err)
		}
		wantFile(t, filepath.Join(s.WALDir, segment(3)), pattern(segmentSize))
	})
}

// TestWALRestored: restore_command and promotion rename between segments and other names.
func TestWALRestored(t *testing.T) {
	bothWays(t, func(t *testing.T, s spec) {
		m := startMount(t, s)
		pretendServer(t, m)
		if err := os.WriteFile(m.dir+"/pg_wal/RECOVERYXLOG", pattern(segmentSize), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(m.dir+"/pg_wal/RECOVERYXLOG", m.dir+"/pg_wal/"+segment(5)); err != nil {
			t.Fatal(err)
		}
		wantFile(t, m.dir+"/pg_wal/"+segment(5), pattern(segmentSize))
		wantFile(t, filepath.Join(s.WALDir, segment(5)), pattern(segmentSize))
		if err := os.Rename(m.dir+"/pg_wal/"+segment(5), m.dir+"/pg_wal/"+segment(5)+".partial"); err != nil {
			t.Fatal(err)
		}
		wantFile(t, m.dir+"/pg_wal/"+segment(5)+".partial", pattern(segmentSize))
		wantFile(t, filepath.Join(s.WALDir, segment(5)), pattern(segmentSize))
	})
}

// TestWALAfterAKill: files that a killed daemon left are not shown, and new ones replace them.
func TestWALAfterAKill(t *testing.T) {
	requireFuse(t)
	s := workSpec(t)
	for name, text := range map[string]string{segment(1): "history", segment(3): "real", segment(4): "torn", "xlogtemp.7": "x"} {
		if err := os.WriteFile(filepath.Join(s.WALDir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := startMount(t, s)
	pretendServer(t, m)
	if got := listing(t, m.dir+"/pg_wal"); got != segment(3) {
		t.Errorf("pg_wal has %s", got)
	}
	wantFile(t, m.dir+"/pg_wal/"+segment(3), []byte("real"))
	install(t, m, segment(4), []byte("new"))
	wantFile(t, filepath.Join(s.WALDir, segment(4)), []byte("new"))
	wantFile(t, filepath.Join(s.WALDir, segment(1)), []byte("history"))
	if got := listing(t, s.WALDir); strings.Contains(got, "xlogtemp") {
		t.Errorf("the branch has %s", got)
	}
}

// TestWALWrittenInSync: with O_DSYNC no process calls fsync, but the branch hears of each write.
func TestWALWrittenInSync(t *testing.T) {
	bothWays(t, func(t *testing.T, s spec) {
		m := startMount(t, s)
		pretendServer(t, m)
		temp, name := m.dir+"/pg_wal/xlogtemp.1", m.dir+"/pg_wal/"+segment(4)
		if err := os.WriteFile(temp, make([]byte, segmentSize), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temp, name); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(name, os.O_RDWR|unix.O_DSYNC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("commit"), 0); err != nil {
			t.Fatal(err)
		}
		m.eventually(t, "synced "+segment(4))
	})
}

// TestSpareSegment: a spare, full of zeros, becomes the next segment that postgres makes, and is
// then a segment like any other.
func TestSpareSegment(t *testing.T) {
	requireFuse(t)
	s := diskSpec(t, controlBase(t, 0x3000028))
	m := startMount(t, s)
	pretendServer(t, m)
	spare := func() bool { _, err := os.Stat(filepath.Join(s.WALDir, "xlogtemp.spare")); return err == nil }
	last := m.dir + "/pg_wal/" + segment(3)
	writeAt(t, last, []byte("a commit"), 0)
	if spare() {
		t.Error("a spare is made for a segment that is empty")
	}
	for n := 4; n < 6; n++ {
		writeAt(t, last, []byte("a commit"), segmentSize-8)
		waitFor(t, "the spare", spare)
		if got := listing(t, m.dir+"/pg_wal"); strings.Contains(got, "spare") {
			t.Errorf("pg_wal has %s", got)
		}
		last = m.dir + "/pg_wal/" + segment(n)
		install(t, m, segment(n), nil)
		wantFile(t, last, make([]byte, segmentSize))
		writeAt(t, last, []byte("commit"), 8192)
		want := make([]byte, segmentSize)
		copy(want[8192:], "commit")
		wantFile(t, last, want)
		wantFile(t, filepath.Join(s.WALDir, segment(n)), want)
	}
	writeAt(t, last, []byte("a commit"), segmentSize-8)
	waitFor(t, "the spare", spare)
	if err := os.Remove(m.dir + "/postmaster.pid"); err != nil {
		t.Fatal(err)
	}
	m.unmount(t)
	if spare() {
		t.Error("the spare outlives the mount")
	}
}
