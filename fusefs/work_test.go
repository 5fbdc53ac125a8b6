package fusefs_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const segmentSize = 1 << 20

// segment gives the name of the n-th WAL segment.
func segment(n int) string { return fmt.Sprintf("00000001000000000000%04X", n) }

// workSpec is a working tree over a small made-up data directory.
func workSpec(t *testing.T) spec {
	t.Helper()
	return spec{
		Kind: "work",
		Mem: map[string]string{
			"PG_VERSION":           "15\n",
			"postgresql.conf":      "port = 5432\n",
			"base/5/16384":         string(pattern(6 * 8192)),
			"base/5/16385":         "",
			"pg_xact/0000":         string(pattern(8192)),
			"pg_stat/":             "",
			"pg_stat_tmp/":         "",
			"pg_replslot/":         "",
			"pg_wal/" + segment(3): string(pattern(segmentSize)),
		},
		State:   t.TempDir(),
		WALDir:  t.TempDir(),
		ConfDir: t.TempDir(),
	}
}

// bothWays runs a test twice: the kernel keeps writes in its cache for a while, or sends them at
// once.
func bothWays(t *testing.T, test func(t *testing.T, s spec)) {
	requireFuse(t)
	for _, no := range []bool{false, true} {
		t.Run(fmt.Sprintf("NoWriteback=%v", no), func(t *testing.T) {
			s := workSpec(t)
			s.NoWriteback = no
			test(t, s)
		})
	}
}

// pretendServer makes the tree look as if a postgres ran on it.
func pretendServer(t *testing.T, m *mounted) {
	t.Helper()
	if err := os.WriteFile(m.dir+"/postmaster.pid", []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func writeAt(t *testing.T, path string, p []byte, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(p, off); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func wantFile(t *testing.T, path string, want []byte) {
	t.Helper()
	if got := readFile(t, path); !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, want %d; first difference at %d", filepath.Base(path), len(got), len(want), firstDiff(got, want))
	}
}

func firstDiff(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func TestWorkBlocks(t *testing.T) {
	bothWays(t, func(t *testing.T, s spec) {
		m := startMount(t, s)
		pretendServer(t, m)
		rel, want := m.dir+"/base/5/16384", pattern(6*8192)
		block := bytes.Repeat([]byte("w"), 8192)
		writeAt(t, rel, block, 2*8192)
		copy(want[2*8192:], block)
		wantFile(t, rel, want)
		writeAt(t, rel, block, 6*8192) // one more block
		want = append(want, block...)
		wantFile(t, rel, want)
		writeAt(t, rel, []byte("half"), 8192+4000) // as no postgres does
		copy(want[8192+4000:], "half")
		wantFile(t, rel, want)
		for _, size := range []int{4 * 8192, 3*8192 + 5, 5 * 8192, 0, 8192} {
			if err := os.Truncate(rel, int64(size)); err != nil {
				t.Fatal(err)
			}
			want = resized(want, size)
			wantFile(t, rel, want)
			if got := stat(t, rel).Size; got != int64(size) {
				t.Errorf("size %d after truncation to %d", got, size)
			}
		}
	})
}

func resized(p []byte, n int) []byte {
	q := make([]byte, n)
	copy(q, p)
	return q
}

// TestWorkSizesAreExact: while a file grows and shrinks, lseek and fstat give its size at once,
// through the same descriptor and through that of another process.
func TestWorkSizesAreExact(t *testing.T) {
	bothWays(t, func(t *testing.T, s spec) {
		m := startMount(t, s)
		pretendServer(t, m)
		for _, name := range []string{"16384", "16385", "20000"} {
			f, err := os.OpenFile(m.dir+"/base/5/"+name, os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			g, err := os.Open(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Truncate(0); err != nil {
				t.Fatal(err)
			}
			for n := int64(1); n <= 20; n++ {
				if _, err := f.WriteAt(make([]byte, 8192), (n-1)*8192); err != nil {
					t.Fatal(err)
				}
				for _, h := range []*os.File{f, g} {
					if end, err := h.Seek(0, 2); err != nil || end != n*8192 {
						t.Fatalf("%s: end is %d after %d blocks, %v", name, end, n, err)
					}
				}
			}
			if err := f.Truncate(8192); err != nil {
				t.Fatal(err)
			}
			if fi, err := g.Stat(); err != nil || fi.Size() != 8192 {
				t.Errorf("%s: %d bytes after truncation, %v", name, fi.Size(), err)
			}
			f.Close()
			g.Close()
		}
	})
}

func TestWorkOpenUnlinked(t *testing.T) {
	bothWays(t, func(t *testing.T, s spec) {
		m := startMount(t, s)
		pretendServer(t, m)
		for _, name := range []string{"16384", "20000"} {
			path := m.dir + "/base/5/" + name
			f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(pattern(8192), 0); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte("still"), 8192); err != nil {
				t.Errorf("write after unlink: %v", err)
			}
			p := make([]byte, 5)
			if _, err := f.ReadAt(p, 8192); err != nil || string(p) != "still" {
				t.Errorf("read after unlink: %q, %v", p, err)
			}
			var st unix.Stat_t
			if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Nlink != 0 {
				t.Errorf("fstat after unlink: %d links, %v", st.Nlink, err)
			}
			if err := os.WriteFile(path, []byte("new"), 0o600); err != nil {
				t.Errorf("the name anew: %v", err)
			}
			wantFile(t, path, []byte("new"))
			f.Close()
		}
		if got := listing(t, m.dir+"/base/5"); got != "16384 16385 20000" {
			t.Errorf("listing is %q", got)
		}
		// Their private files are removed, too. Those of the two new files and of postmaster.pid
		// remain.
		eventuallyFiles(t, s.State+"/private", 3)
	})
}

func eventuallyFiles(t *testing.T, dir string, want int) {
	t.Helper()
	var names []os.DirEntry
	for range 1000 {
		var err error
		if names, err = os.ReadDir(dir); err != nil {
			t.Fatal(err)
		}
		if len(names) == want {
			return
		}
		unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
	}
	t.Errorf("%s has %d files, want %d", dir, len(names), want)
}

func TestWorkNames(t *testing.T) {
	bothWays(t, func(t *testing.T, s spec) {
		m := startMount(t, s)
		d := m.dir + "/pg_replslot"
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		must(os.Mkdir(d+"/s.tmp", 0o700))
		must(os.WriteFile(d+"/s.tmp/state", []byte("1"), 0o600))
		must(unix.Rename(d+"/s.tmp", d+"/s"))
		wantFile(t, d+"/s/state", []byte("1"))
		must(os.WriteFile(d+"/s/state.tmp", []byte("22"), 0o600))
		must(unix.Rename(d+"/s/state.tmp", d+"/s/state"))
		wantFile(t, d+"/s/state", []byte("22"))
		if got := listing(t, d+"/s"); got != "state" {
			t.Errorf("listing is %q", got)
		}
		refused(t, "rmdir of a full directory", os.Remove(d+"/s"), syscall.ENOTEMPTY)
		must(os.Mkdir(d+"/empty", 0o700))
		refused(t, "rename over a full directory", unix.Rename(d+"/empty", d+"/s"), syscall.ENOTEMPTY)
		must(unix.Rename(d+"/s", d+"/empty"))
		wantFile(t, d+"/empty/state", []byte("22"))
		_, err := os.OpenFile(d+"/empty/state", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		refused(t, "exclusive creation of what is there", err, syscall.EEXIST)
		refused(t, "hard link", os.Link(d+"/empty/state", d+"/empty/other"), syscall.EPERM)
		must(os.Symlink("/somewhere/else", m.dir+"/pg_stat/16400"))
		if got := readlink(t, m.dir+"/pg_stat/16400"); got != "/somewhere/else" {
			t.Errorf("link leads to %q", got)
		}
		must(os.Remove(m.dir + "/pg_stat/16400"))
		must(unix.Mknod(d+"/fifo", unix.S_IFIFO|0o600, 0))
		must(os.RemoveAll(d + "/empty"))
		if got := listing(t, d); got != "fifo" {
			t.Errorf("listing is %q", got)
		}
	})
}

func refused(t *testing.T, what string, err error, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// TestWorkReaddirWhileUnlinking removes every name as soon as it is read, as
// postgres does: none is left out.
func TestWorkReaddirWhileUnlinking(t *testing.T) {
	requireFuse(t)
	m := startMount(t, workSpec(t))
	d := m.dir + "/pg_stat_tmp"
	const n = 500
	for i := range n {
		if err := os.WriteFile(fmt.Sprintf("%s/a-rather-long-name-so-that-one-read-does-not-do-%d", d, i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := 0
	for {
		names, _ := f.Readdirnames(7)
		if len(names) == 0 {
			break
		}
		for _, name := range names {
			seen++
			if err := os.Remove(filepath.Join(d, name)); err != nil {
				t.Error(err)
			}
		}
	}
	if got := listing(t, d); seen != n || got != "" {
		t.Errorf("%d of %d seen, left: %q", seen, n, got)
	}
}

func TestWorkGuard(t *testing.T) {
	requireFuse(t)
	m := startMount(t, workSpec(t))
	rel := m.dir + "/base/5/16384"
	attempts := func() map[string]error {
		f, open := os.OpenFile(rel, os.O_RDWR, 0)
		f.Close()
		return map[string]error{
			"open for writing": open,
			"truncate":         os.Truncate(rel, 0),
			"unlink":           os.Remove(m.dir + "/pg_xact/0000"),
			"create":           os.WriteFile(m.dir+"/base/5/16999", nil, 0o600),
			"unlink WAL":       os.Remove(m.dir + "/pg_wal/" + segment(3)),
			"create WAL":       os.WriteFile(m.dir+"/pg_wal/"+segment(4), nil, 0o600),
			"rename":           os.Rename(rel, m.dir+"/base/5/16386"),
		}
	}
	for what, err := range attempts() {
		refused(t, what, err, syscall.EPERM)
	}
	m.eventually(t, "while no postgres runs")
	wantFile(t, rel, pattern(6*8192))
	pretendServer(t, m)
	for what, err := range attempts() {
		if err != nil {
			t.Errorf("%s with a server: %v", what, err)
		}
	}
}

func TestWorkScratch(t *testing.T) {
	requireFuse(t)
	s := workSpec(t)
	s.Scratch, s.WALDir = true, ""
	m := startMount(t, s)
	for _, path := range []string{"base/5/16384", "pg_wal/" + segment(3), "postgresql.conf", "base/5/20000"} {
		if err := os.WriteFile(filepath.Join(m.dir, path), []byte("scribble"), 0o600); err != nil {
			t.Error(err)
		}
		wantFile(t, filepath.Join(m.dir, path), []byte("scribble"))
	}
	if err := os.Rename(m.dir+"/pg_wal/"+segment(3), m.dir+"/pg_wal/"+segment(9)); err != nil {
		t.Error(err)
	}
	m.unmount(t)
	if got := append(m.said("put"), m.said("synced")...); len(got) != 0 {
		t.Errorf("a scratch mount stored: %v", got)
	}
	if got := listing(t, s.State); got != "" {
		t.Errorf("a scratch mount left %q", got)
	}
	again := startMount(t, s)
	wantFile(t, again.dir+"/base/5/16384", pattern(6*8192))
}

// TestWorkOneProcessor: the daemon must not need a second processor.
func TestWorkOneProcessor(t *testing.T) {
	requireFuse(t)
	m := startMount(t, workSpec(t), "GOMAXPROCS=1")
	pretendServer(t, m)
	for i := range 50 {
		path := fmt.Sprintf("%s/base/5/%d", m.dir, 30000+i)
		if err := os.WriteFile(path, pattern(30_000), 0o600); err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, pattern(30_000))
	}
	m.unmount(t)
}

// TestWorkCalls makes the calls that postgres makes and that no other test does.
func TestWorkCalls(t *testing.T) {
	bothWays(t, func(t *testing.T, s spec) {
		m := startMount(t, s)
		pretendServer(t, m)
		for _, name := range []string{"16384", "20000"} {
			f, err := os.OpenFile(m.dir+"/base/5/"+name, os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			fd := int(f.Fd())
			zeros := make([]byte, 8192)
			if n, err := unix.Pwritev(fd, [][]byte{zeros, pattern(8192), zeros}, 8192); n != 3*8192 || err != nil {
				t.Errorf("pwritev: %d, %v", n, err)
			}
			for what, err := range map[string]error{
				"sync_file_range": unix.SyncFileRange(fd, 0, 8192, unix.SYNC_FILE_RANGE_WRITE),
				"fadvise":         unix.Fadvise(fd, 0, 8192, unix.FADV_WILLNEED),
				"fsync":           unix.Fsync(fd),
				"fdatasync":       unix.Fdatasync(fd),
				"fallocate":       unix.Fallocate(fd, 0, 0, 10*8192),
				"keep size":       unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 20*8192),
			} {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			refused(t, "punching a hole", unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 8192), unix.EOPNOTSUPP)
			if got := stat(t, f.Name()).Size; got != 10*8192 {
				t.Errorf("size is %d", got)
			}
			p := make([]byte, 8192)
			if _, err := f.ReadAt(p, 2*8192); err != nil || !bytes.Equal(p, pattern(8192)) {
				t.Errorf("what pwritev wrote is not there: %v", err)
			}
			f.Close()
		}
		var st unix.Statfs_t
		if err := unix.Statfs(m.dir, &st); err != nil || st.Bavail == 0 {
			t.Errorf("statfs: %v, %d blocks free", err, st.Bavail)
		}
		if err := os.Chmod(m.dir+"/base/5/20000", 0o640); err != nil || stat(t, m.dir+"/base/5/20000").Mode&0o777 != 0o640 {
			t.Errorf("chmod: %v", err)
		}
	})
}
