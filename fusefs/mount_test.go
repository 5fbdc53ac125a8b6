package fusefs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
	"zenith/fusefs"
	"zenith/internal/pgtest"
	"zenith/internal/privileged"
)

func TestMountPoints(t *testing.T) {
	requireFuse(t)
	mem := map[string]string{"f": "text"}
	full := pgtest.TempDir(t)
	if err := os.WriteFile(full+"/x", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(pgtest.TempDir(t), "link")
	target := pgtest.TempDir(t)
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]error{full: fusefs.ErrNotEmpty, full + "/none": os.ErrNotExist, full + "/x": syscall.ENOTDIR} {
		if _, err := tryMount(t, spec{Kind: "ro", Dir: dir, Mem: mem}); err == nil || !strings.Contains(err.Error(), want.Error()) {
			if want != os.ErrNotExist || err == nil || !strings.Contains(err.Error(), "no such file") {
				t.Errorf("mount at %s: %v, want %v", dir, err, want)
			}
		}
	}
	m := startMount(t, spec{Kind: "ro", Dir: link, Mem: mem})
	if text := string(readFile(t, "/proc/mounts")); !strings.Contains(text, "zenith "+target+" fuse.zenith ro") {
		t.Errorf("not listed as fuse.zenith at %s:\n%s", target, text)
	}
	checkCacheLimits(t, target)
	wantHarmless(t, target)
	if _, err := tryMount(t, spec{Kind: "ro", Dir: link, Mem: mem}); err == nil || !strings.Contains(err.Error(), fusefs.ErrBusy.Error()) {
		t.Errorf("second mount at the same place: %v", err)
	}
	if cleaned, err := new(privileged.InProcess).CleanStale(link); cleaned || err != nil {
		t.Errorf("CleanStale of a live mount: %v, %v", cleaned, err)
	}
	m.unmount(t)
	if got := m.ask(t, "unmount"); got != "ok" {
		t.Errorf("second unmount: %s", got)
	}
}

// wantHarmless checks that nothing on the mount at dir gives anybody a right, or is run as a program.
func wantHarmless(t *testing.T, dir string) {
	t.Helper()
	for line := range strings.Lines(string(readFile(t, "/proc/self/mountinfo"))) {
		if f := strings.Fields(line); f[4] == dir {
			for _, option := range []string{"nosuid", "nodev", "noexec"} {
				if !slices.Contains(strings.Split(f[5], ","), option) {
					t.Errorf("the mount at %s is %s, not %s", dir, f[5], option)
				}
			}
			return
		}
	}
	t.Errorf("%s is not mounted", dir)
}

// checkCacheLimits checks how far the kernel reads ahead on the mount at dir, and how much of the
// mount may be dirty.
func checkCacheLimits(t *testing.T, dir string) {
	if os.Geteuid() != 0 {
		return
	}
	for line := range strings.Lines(string(readFile(t, "/proc/self/mountinfo"))) {
		if f := strings.Fields(line); f[4] == dir {
			limit := func(file string) int {
				text, err := os.ReadFile(filepath.Join("/sys/class/bdi", f[2], file))
				if errors.Is(err, os.ErrNotExist) { // before Linux 6.2
					return 512 << 20
				}
				n, nerr := strconv.Atoi(strings.TrimSpace(string(text)))
				if err := errors.Join(err, nerr); err != nil {
					t.Fatal(err)
				}
				return n
			}
			if got := limit("read_ahead_kb"); got != 4096 {
				t.Errorf("the kernel reads %d KiB ahead", got)
			}
			// The kernel keeps it as a ratio, and rounds.
			if got := limit("max_bytes"); got < 500<<20 && limit("max_ratio") != 100 {
				t.Errorf("%d bytes may be dirty", got)
			}
			return
		}
	}
	t.Errorf("%s is not mounted", dir)
}

// TestStale: a killed daemon leaves a dead mount. CleanStale tells it from a live one, and
// unmounts it even while a process is in it.
func TestStale(t *testing.T) {
	requireFuse(t)
	s := workSpec(t)
	s.Dir = pgtest.TempDir(t)
	m := startMount(t, s)
	stat(t, m.dir)
	f, err := os.Open(m.dir + "/PG_VERSION")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.WriteFile(m.dir+"/pg_stat_tmp/x", []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.kill(t)
	if _, err := os.ReadDir(m.dir); !errors.Is(err, syscall.ENOTCONN) {
		t.Fatalf("a dead mount: %v", err)
	}
	if mounted, err := privileged.IsMounted(m.dir); !mounted || err != nil {
		t.Errorf("IsMounted: %v, %v", mounted, err)
	}
	if _, err := tryMount(t, s); err == nil || !strings.Contains(err.Error(), fusefs.ErrStale.Error()) {
		t.Errorf("mount over a dead mount: %v", err)
	}
	if cleaned, err := new(privileged.InProcess).CleanStale(m.dir); !cleaned || err != nil {
		t.Errorf("CleanStale: %v, %v", cleaned, err)
	}
	if cleaned, err := new(privileged.InProcess).CleanStale(m.dir); cleaned || err != nil {
		t.Errorf("CleanStale of a clean directory: %v, %v", cleaned, err)
	}
	again := startMount(t, s)
	wantFile(t, again.dir+"/PG_VERSION", []byte("15\n"))
	if got := listing(t, again.dir+"/pg_stat_tmp"); got != "" {
		t.Errorf("runtime files survived the daemon: %s", got)
	}
}

// notHere are the tests of package posixtest for what a working tree does not support.
var notHere = map[string]string{
	"Link":                "no hard links",
	"LinkUnlinkRename":    "no hard links",
	"Tmpfile":             "no unnamed files",
	"XAttr":               "no extended attributes",
	"XAttrLarge":          "no extended attributes",
	"FcntlFlockSetLk":     "the kernel's own locks do: one mount, one kernel; the test looks into the server",
	"FcntlFlockLocksFile": "as above",
}

func TestPosix(t *testing.T) {
	requireFuse(t)
	for name, test := range posixtest.All {
		t.Run(name, func(t *testing.T) {
			if reason := notHere[name]; reason != "" {
				t.Skip(reason)
			}
			for _, no := range []bool{false, true} {
				s := workSpec(t)
				s.NoWriteback = no
				test(t, startMount(t, s).dir+"/pg_stat_tmp")
			}
		})
	}
}

// TestOrdinaryUser mounts as a user who is not root: with fusermount3, and for that user alone.
func TestOrdinaryUser(t *testing.T) {
	requireFuse(t)
	if os.Geteuid() != 0 {
		t.Skip("all tests of this run are by an ordinary user")
	}
	if st := stat(t, "/dev/fuse"); st.Mode&0o006 != 0o006 {
		t.Skip("/dev/fuse is root's alone here")
	}
	uid, gid := pgtest.Owner(t)
	binary := filepath.Join(pgtest.TempDir(t), "fusefs.test")
	run(t, exec.Command("cp", os.Args[0], binary))
	s := workSpec(t)
	s.Dir = pgtest.TempDir(t)
	s.State, s.WALDir, s.ConfDir = pgtest.TempDir(t), pgtest.TempDir(t), pgtest.TempDir(t)
	m := startMountAs(t, binary, s, uint32(uid), uint32(gid))
	if _, err := os.ReadDir(s.Dir); !errors.Is(err, syscall.EACCES) {
		t.Errorf("root reads a user's mount: %v", err)
	}
	as := func(script string) string { return runAs(t, uid, gid, s.Dir, script) }
	as("echo 1 > postmaster.pid && head -c 8192 /dev/zero > base/5/16384 && rm base/5/16385")
	if got := as("stat -c '%a %U %s' base base/5/16384"); got != "700 postgres 0\n600 postgres 8192\n" {
		t.Errorf("stat: %s", got)
	}
	m.kill(t)
	s.Clean = true // only its user may see that the mount is dead
	m = startMountAs(t, binary, s, uint32(uid), uint32(gid))
	m.unmount(t)
}

func runAs(t *testing.T, uid, gid int, dir, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", "cd "+dir+" && "+script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return run(t, cmd)
}

// TestOpenChurn opens and closes the same few files all the time, in parallel, as many
// short sessions do: the kernel must never find two ways of reading one inode.
func TestOpenChurn(t *testing.T) {
	bothWays(t, func(t *testing.T, s spec) {
		m := startMount(t, s)
		pretendServer(t, m)
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 200 {
					name := []string{"16384", "16385", "20000", "20001"}[(g+i)%4]
					if err := useFile(m.dir+"/base/5/"+name, i%5 == 0, int64(g)*8192); err != nil {
						t.Errorf("round %d: %v", i, err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

// useFile opens, writes or reads, and closes.
func useFile(path string, reads bool, off int64) (err error) {
	flags := os.O_RDWR | os.O_CREATE
	if reads {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if reads && errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if reads {
		_, err = f.Read(make([]byte, 8192))
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return err
	}
	want := pattern(8192)
	if _, err := f.WriteAt(want, off); err != nil {
		return err
	}
	got := make([]byte, 8192)
	if _, err := f.ReadAt(got, off); err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("read back at %d: %w, equal %v", off, err, bytes.Equal(got, want))
	}
	return nil
}
