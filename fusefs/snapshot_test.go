package fusefs_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"zenith/internal/pgtest"
)

// requireFuse fails a test that cannot mount; a short run skips it.
func requireFuse(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		if testing.Short() {
			t.Skip("no /dev/fuse")
		}
		t.Fatal(err)
	}
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadOnlyShowsTheTree(t *testing.T) {
	requireFuse(t)
	long := strings.Repeat("0123456789abcdef", 20_000)
	m := startMount(t, spec{Kind: "ro", Mem: map[string]string{
		"PG_VERSION": "15\n", "base/5/16384": long, "pg_notify/": "", "empty": "",
	}})
	if got := readFile(t, m.dir+"/base/5/16384"); string(got) != long {
		t.Errorf("base/5/16384 is %d bytes, differs", len(got))
	}
	names, err := os.ReadDir(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range names {
		got = append(got, n.Name())
	}
	if want := "PG_VERSION base empty pg_notify"; strings.Join(got, " ") != want {
		t.Errorf("listing is %v, want %s", got, want)
	}
	if _, err := os.Stat(m.dir + "/base/5/99"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat of what is not there: %v", err)
	}
	uid, _ := pgtest.Owner(t)
	for path, want := range map[string]uint32{"": syscall.S_IFDIR | 0o700, "base": syscall.S_IFDIR | 0o700, "empty": syscall.S_IFREG | 0o600} {
		st := stat(t, filepath.Join(m.dir, path))
		if st.Mode != want || st.Uid != uint32(uid) || st.Mtim.Sec != 1_600_000_000 {
			t.Errorf("stat %q: mode %o uid %d mtime %d", path, st.Mode, st.Uid, st.Mtim.Sec)
		}
	}
}

func stat(t *testing.T, path string) syscall.Stat_t {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatalf("stat %s: %v", path, err)
	}
	return st
}

func TestReadOnlyReadsAnywhere(t *testing.T) {
	requireFuse(t)
	text := pattern(5*8192 + 777)
	m := startMount(t, spec{Kind: "ro", Mem: map[string]string{"f": string(text)}})
	f, err := os.Open(m.dir + "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct{ off, n int }{{0, 4096}, {4096, 4096}, {8192 - 5, 10}, {12288, 12288}, {5 * 8192, 8192}, {1, 3}, {len(text) - 1, 1}} {
		p := make([]byte, c.n)
		n, err := f.ReadAt(p, int64(c.off))
		if want := text[c.off:min(c.off+c.n, len(text))]; !bytes.Equal(p[:n], want) {
			t.Errorf("read %d at %d: %d bytes, %v", c.n, c.off, n, err)
		}
	}
	if n, _ := f.ReadAt(make([]byte, 10), int64(len(text))+100); n != 0 {
		t.Errorf("read behind the end gave %d bytes", n)
	}
}

// pattern gives n bytes whose values depend on their places.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = '!' + byte((i*31+i>>8)%90) // JSON must bring it to the child as it is
	}
	return p
}

func TestReadOnlyRefusesWrites(t *testing.T) {
	requireFuse(t)
	m := startMount(t, spec{Kind: "ro", Mem: map[string]string{"f": "text", "d/": ""}})
	for what, err := range map[string]error{
		"open for writing": func() error { _, err := os.OpenFile(m.dir+"/f", os.O_RDWR, 0); return err }(),
		"create":           os.WriteFile(m.dir+"/g", nil, 0o600),
		"mkdir":            os.Mkdir(m.dir+"/e", 0o700),
		"unlink":           os.Remove(m.dir + "/f"),
		"rename":           os.Rename(m.dir+"/f", m.dir+"/g"),
		"truncate":         os.Truncate(m.dir+"/f", 0),
		"chmod":            os.Chmod(m.dir+"/f", 0o644),
	} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v, want EROFS", what, err)
		}
	}
}

// TestReadOnlyIsCached: what was read once does not reach the daemon again, and neither do names
// that do not exist.
func TestReadOnlyIsCached(t *testing.T) {
	requireFuse(t)
	m := startMount(t, spec{Kind: "ro", Mem: map[string]string{"base/5/16384": string(pattern(100_000))}})
	use := func() {
		readFile(t, m.dir+"/base/5/16384")
		for _, name := range []string{"16384.1", "16384_fsm", "16384_vm"} {
			if _, err := os.Stat(m.dir + "/base/5/" + name); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("stat %s: %v", name, err)
			}
		}
		if _, err := os.ReadDir(m.dir + "/base/5"); err != nil {
			t.Error(err)
		}
	}
	use()
	first := m.ask(t, "calls")
	for range 10 {
		use()
	}
	if again := m.ask(t, "calls"); again != first {
		t.Errorf("calls of the tree went from %q to %q", first, again)
	}
}

func TestReadOnlyDamage(t *testing.T) {
	requireFuse(t)
	m := startMount(t, spec{Kind: "ro", Mem: map[string]string{"base/5/16384": "damaged"}})
	if _, err := os.ReadFile(m.dir + "/base/5/16384"); !errors.Is(err, syscall.EIO) {
		t.Errorf("read of a damaged file: %v, want EIO", err)
	}
	m.eventually(t, `path=base/5/16384 err="read 7 bytes at 0`)
	m.eventually(t, "page 5 has no image")
}

// TestReadOnlyTools runs what users run on a real data directory.
func TestReadOnlyTools(t *testing.T) {
	requireFuse(t)
	src := pgtest.Init(t, pgtest.Options{InitArgs: []string{"-k"}})
	m := startMount(t, spec{Kind: "ro", Disk: src.Dir})
	for _, args := range [][]string{
		{"pg_controldata", m.dir},
		{"pg_checksums", "--check", "-D", m.dir},
	} {
		run(t, pgtest.Command(t, args[0], args[1:]...))
	}
	before := stat(t, m.dir+"/base/5/1259").Ino
	out := filepath.Join(pgtest.TempDir(t), "copy")
	run(t, exec.Command("mkdir", out))
	run(t, exec.Command("sh", "-c", "tar -C "+m.dir+" -cf - . | tar -C "+out+" -xpf -"))
	run(t, exec.Command("diff", "-r", m.dir, out))
	if path, err := exec.LookPath("rsync"); err == nil {
		synced := filepath.Join(pgtest.TempDir(t), "rsync")
		run(t, exec.Command(path, "-a", m.dir+"/", synced))
		run(t, exec.Command("diff", "-r", m.dir, synced))
	}
	m.unmount(t)

	again := startMount(t, spec{Kind: "ro", Disk: src.Dir})
	if after := stat(t, again.dir+"/base/5/1259").Ino; after != before {
		t.Errorf("inode number was %d, is %d in another mount", before, after)
	}
}
