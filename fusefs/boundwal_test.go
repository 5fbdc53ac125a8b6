package fusefs_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"zenith/fusefs"
	"zenith/internal/privileged"
)

// boundSpec is a working tree with a bound pg_wal; only root may have one.
func boundSpec(t *testing.T) spec {
	t.Helper()
	requireFuse(t)
	if os.Geteuid() != 0 {
		t.Skip("binding a directory into a mount needs root")
	}
	s := diskSpec(t, controlBase(t, 0x3000028))
	s.Bind = true
	return s
}

// pageHeader gives the beginning of a WAL page of the n-th segment: a page that begins so was
// written.
func pageHeader(n, page int) []byte {
	return binary.LittleEndian.AppendUint64(make([]byte, 8), uint64(n*segmentSize+page*8192))
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	x, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.Stat(b)
	if err != nil {
		return false
	}
	return os.SameFile(x, y)
}

// TestBoundWAL: what a server writes to a bound pg_wal is in the branch, also when the server has
// removed it, and the server's next segment is made for it.
func TestBoundWAL(t *testing.T) {
	s := boundSpec(t)
	m := startMount(t, s)
	pretendServer(t, m)
	in := func(n int) string { return filepath.Join(m.dir, "pg_wal", segment(n)) }
	branch := func(n int) string { return filepath.Join(s.WALDir, segment(n)) }
	if got, want := listing(t, m.dir+"/pg_wal"), segment(3)+" archive_status"; got != want {
		t.Fatalf("pg_wal has %s, want %s", got, want)
	}
	if !sameFile(t, in(3), branch(3)) {
		t.Fatal("segment 3 of the branch is another file")
	}
	if st := stat(t, in(3)); st.Gid != stat(t, m.dir).Gid || st.Mode&0o060 != 0o060 || st.Mode&0o007 != 0 {
		t.Errorf("segment 3 is group %d's, with mode %o", st.Gid, st.Mode)
	}
	wantHarmless(t, m.dir)
	wantHarmless(t, m.dir+"/pg_wal")
	writeAt(t, in(3), pageHeader(3, 0), 0)
	m.eventually(t, "synced "+segment(3))

	// The server makes a segment; the branch has it soon, or when pg_control is written.
	install(t, m, segment(4), make([]byte, segmentSize))
	waitFor(t, "segment 4 in the branch", func() bool { return sameFile(t, in(4), branch(4)) })
	install(t, m, segment(5), make([]byte, segmentSize))
	writeAt(t, m.dir+"/global/pg_control", readFile(t, m.dir+"/global/pg_control"), 0)
	if !sameFile(t, in(5), branch(5)) {
		t.Error("a checkpoint is complete, and the branch lacks a segment")
	}
	if err := os.Remove(in(3)); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, branch(3))[:16]; !bytes.Equal(got, pageHeader(3, 0)) {
		t.Errorf("the branch's segment 3 begins with %x", got)
	}

	// The next segment exists before the server needs it. One that the server makes is adopted.
	for page := range segmentSize / 8192 {
		writeAt(t, in(5), pageHeader(5, page), int64(page)*8192)
	}
	waitFor(t, "the spare", func() bool {
		writeAt(t, in(5), pageHeader(5, segmentSize/8192-1), segmentSize-8192)
		_, err := os.Stat(in(6))
		return err == nil && sameFile(t, in(6), branch(6))
	})
	wantFile(t, in(6), make([]byte, segmentSize))
	install(t, m, segment(6), bytes.Repeat([]byte("6"), segmentSize))
	waitFor(t, "the server's own segment 6 in the branch", func() bool { return sameFile(t, in(6), branch(6)) })

	// While the mount is in use, pg_wal stays bound.
	f, err := os.Open(in(6))
	if err != nil {
		t.Fatal(err)
	}
	if line := m.ask(t, "unmount"); !strings.HasPrefix(line, "busy") {
		t.Errorf("unmount of a pg_wal in use: %s", line)
	}
	if !sameFile(t, in(6), branch(6)) {
		t.Error("pg_wal is not bound any more")
	}
	f.Close()
	stopServer(t, m)
	m.unmount(t)
	if got := listing(t, s.State); strings.Contains(got, "pg_wal") {
		t.Errorf("the mount left %s", got)
	}
	if got := listing(t, s.WALDir); strings.Contains(got, "xlogtemp") {
		t.Errorf("the mount left %s in the branch", got)
	}
}

// TestBoundWALKept: after a clean stop the next mount has the files again that are no segments.
func TestBoundWALKept(t *testing.T) {
	s := boundSpec(t)
	for n, bind := range []bool{true, true, false, true} { // also where one mount binds pg_wal and the next serves it
		s.Bind = bind
		m := startMount(t, s)
		pretendServer(t, m)
		if n == 0 {
			install(t, m, segment(4), pattern(segmentSize))
		} else {
			wantFile(t, m.dir+"/pg_wal/archive_status/"+segment(3)+".ready", nil)
		}
		if got := sameFile(t, m.dir+"/pg_wal/"+segment(3), filepath.Join(s.WALDir, segment(3))); got != bind {
			t.Errorf("mount %d: pg_wal is bound: %v, want %v", n, got, bind)
		}
		if got, want := listing(t, m.dir+"/pg_wal"), segment(3)+" "+segment(4)+" archive_status"; got != want {
			t.Errorf("mount %d, bound %v: pg_wal has %s, want %s", n, bind, got, want)
		}
		if err := os.WriteFile(m.dir+"/pg_wal/archive_status/"+segment(3)+".ready", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		stopServer(t, m)
		m.unmount(t)
	}
}

// TestBoundWALAfterAKill: a server may outlive the daemon and go on to commit. The branch has all
// of that.
func TestBoundWALAfterAKill(t *testing.T) {
	s := boundSpec(t)
	m := startMount(t, s)
	pretendServer(t, m)
	last, err := os.OpenFile(m.dir+"/pg_wal/"+segment(3), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	wal, err := os.Open(m.dir + "/pg_wal") // a way to the directory that outlives the mount
	if err != nil {
		t.Fatal(err)
	}
	defer wal.Close()
	m.kill(t)
	if _, err := last.WriteAt([]byte("commit"), 8192); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.State, "pg_wal", segment(4)), []byte("next"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadDir(m.dir); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("a dead mount: %v", err)
	}
	if err := fusefs.AdoptWAL(s.State, s.WALDir, fusefs.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, filepath.Join(s.WALDir, segment(3)))[8192:8198]; string(got) != "commit" {
		t.Errorf("the branch has %q", got)
	}
	wantFile(t, filepath.Join(s.WALDir, segment(4)), []byte("next"))
	if err := fusefs.AdoptWAL(s.State, s.WALDir, fusefs.Options{}); err != nil {
		t.Errorf("once more: %v", err)
	}
	if cleaned, err := new(privileged.InProcess).CleanStale(m.dir); !cleaned || err != nil {
		t.Errorf("CleanStale: %v, %v", cleaned, err)
	}
	again := startMount(t, spec{Kind: s.Kind, Disk: s.Disk, State: s.State, WALDir: s.WALDir, ConfDir: s.ConfDir, Bind: true})
	if !sameFile(t, again.dir+"/pg_wal/"+segment(3), filepath.Join(s.WALDir, segment(3))) {
		t.Error("the next mount does not have the branch's segment")
	}
}

// TestBoundWALTricks: the account of a server can put what it likes into its pg_wal. Links are not followed, pipes
// are not waited for, and a segment that is replaced while the daemon looks leads nowhere else.
func TestBoundWALTricks(t *testing.T) {
	s := boundSpec(t)
	m := startMount(t, s)
	pretendServer(t, m)
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, pattern(segmentSize), 0o600); err != nil {
		t.Fatal(err)
	}
	wal := m.dir + "/pg_wal/"
	err := errors.Join(
		os.Symlink(secret, wal+segment(5)), syscall.Mkfifo(wal+segment(6), 0o600), os.Mkdir(wal+segment(7), 0o700),
		os.Symlink(secret, wal+"00000002.history"), syscall.Mkfifo(wal+"00000003.history", 0o600),
		os.Remove(wal+"archive_status"), os.Symlink(outside, wal+"archive_status"),
		os.MkdirAll(wal+"own/deep", 0o700), os.Symlink(outside, wal+"own/deep/link"), os.Chown(wal+"own/deep", 65534, 65534), os.Chown(wal+"own", 65534, 65534))
	if err != nil {
		t.Fatal(err)
	}
	install(t, m, segment(4), pattern(segmentSize)) // the daemon goes on to see what is right
	waitFor(t, "segment 4 in the branch", func() bool { return sameFile(t, wal+segment(4), filepath.Join(s.WALDir, segment(4))) })
	stopServer(t, m)
	m.unmount(t)
	for n := 5; n <= 7; n++ {
		if _, err := os.Lstat(filepath.Join(s.WALDir, segment(n))); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("segment %d is in the branch: %v", n, err)
		}
	}
	for _, name := range []string{"saved/files/pg_wal/00000002.history", "saved/files/pg_wal/00000003.history", "saved/files/pg_wal/archive_status/secret", "pg_wal"} {
		if _, err := os.Lstat(filepath.Join(s.State, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
	if st := stat(t, secret); st.Uid != 0 || st.Mode&0o777 != 0o600 || st.Nlink != 1 {
		t.Errorf("the file outside belongs to %d, has mode %o and %d names", st.Uid, st.Mode, st.Nlink)
	}
}
