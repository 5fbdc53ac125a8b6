package privileged_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"zenith/internal/privileged"
)

// serve starts a helper, in this process, and gives its client.
func serve(t *testing.T, rules privileged.Rules) *privileged.Client {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "helper")
	served := make(chan error, 1)
	go func() { served <- privileged.Serve(theirs, rules) }()
	c := privileged.NewClient(os.NewFile(uintptr(pair[0]), "client"))
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), <-served, theirs.Close()); err != nil {
			t.Error(err)
		}
		<-c.Gone()
	})
	return c
}

// room gives rules for an empty work directory, and a program "postgres" that does what its first argument says.
func room(t *testing.T) privileged.Rules {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	work, bin := filepath.Join(dir, "work"), filepath.Join(dir, "bin")
	err = errors.Join(os.Mkdir(work, 0o755), os.Mkdir(bin, 0o755), os.WriteFile(bin+"/postgres", []byte("#!/bin/sh\n$1\n"), 0o755),
		os.WriteFile(bin+"/other", []byte("#!/bin/sh\n"), 0o755))
	for at := dir; err == nil && strings.HasPrefix(at, os.TempDir()) && at != os.TempDir(); at = filepath.Dir(at) {
		err = os.Chmod(at, 0o755) // other accounts run the program
	}
	if err != nil {
		t.Fatal(err)
	}
	return privileged.Rules{WorkDir: work, UID: os.Geteuid(), GID: os.Getegid(), Bins: []string{bin}, Tenants: []privileged.IDRange{{First: 65534, Last: 65534}}}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a helper is root's")
	}
}

// TestHelperRules: beyond what it was started with, a helper does nothing.
func TestHelperRules(t *testing.T) {
	needRoot(t)
	rules := room(t)
	rules.Guests, rules.GuestGroups = []privileged.IDRange{{First: 4321, Last: 4321}}, []int{4322}
	h := serve(t, rules)
	outside := t.TempDir()
	if err := errors.Join(os.WriteFile(outside+"/file", nil, 0o600), os.WriteFile(rules.WorkDir+"/file", nil, 0o600), os.Symlink(outside, rules.WorkDir+"/link"),
		os.WriteFile(rules.WorkDir+"/others", nil, 0o600), os.Chown(rules.WorkDir+"/others", 77, 77)); err != nil {
		t.Fatal(err)
	}
	mount := func(s privileged.MountSpec) error {
		s.MaxRead = 4096
		id, file, err := h.Mount(s)
		if err == nil {
			err = errors.Join(errors.New("was mounted"), file.Close(), h.Unmount(id, true))
		}
		return err
	}
	own := func(top, rel string, uid, gid int, mode fs.FileMode) error {
		return h.Own(top, rel, privileged.Ownership{UID: uid, GID: gid, Mode: mode})
	}
	start := func(c privileged.Command) error {
		c.Output = os.Stderr
		p, err := h.Start(c)
		if err == nil {
			err = errors.Join(errors.New("was started"), p.Wait())
		}
		return err
	}
	postgres := rules.Bins[0] + "/postgres"
	for name, err := range map[string]error{
		"mount over a directory of anybody's": mount(privileged.MountSpec{Dir: outside, UID: rules.UID, GID: rules.GID}),
		"mount for another server":            mount(privileged.MountSpec{Dir: outside, UID: 65534, GID: 65534, Owners: []int{0}}),
		"own outside":                         own(outside, "file", 65534, 65534, 0o600),
		"own a third party's":                 own(rules.WorkDir, "others", 65534, 65534, 0o600),
		"give to a third party":               own(rules.WorkDir, "file", 77, -1, 0o600),
		"give to its group":                   own(rules.WorkDir, "file", -1, 77, 0o600),
		"setuid":                              own(rules.WorkDir, "file", 65534, 65534, 0o600|fs.ModeSetuid),
		"for all":                             own(rules.WorkDir, "file", 65534, 65534, 0o666),
		"start another program":               start(privileged.Command{Path: rules.Bins[0] + "/other", UID: 65534, GID: 65534}),
		"start it elsewhere":                  start(privileged.Command{Path: "/bin/postgres", UID: 65534, GID: 65534}),
		"start as root":                       start(privileged.Command{Path: postgres}),
		"start as itself":                     start(privileged.Command{Path: postgres, UID: 65534, GID: 65534, Own: true}),
		"start in a group of root's":          start(privileged.Command{Path: postgres, UID: 65534, GID: 65534, Groups: []uint32{0}}),
		"start as a guest":                    start(privileged.Command{Path: postgres, UID: 4321, GID: 65534}),
		"start in a guest's group":            start(privileged.Command{Path: postgres, UID: 65534, GID: 4322}),
		"start in a guest's group, too":       start(privileged.Command{Path: postgres, UID: 65534, GID: 65534, Groups: []uint32{4322}}),
		"start with a library":                start(privileged.Command{Path: postgres, UID: 65534, GID: 65534, Env: []string{"LD_PRELOAD=/x.so"}}),
		"remove as root":                      h.Rmdir(outside+"/PG_15_1", 0, 0),
		"remove anything":                     h.Rmdir(outside, 65534, 65534),
		"signal a process of root's":          h.Signal(os.Getpid(), privileged.StartOf(os.Getpid()), syscall.SIGHUP),
	} {
		if !errors.Is(err, privileged.ErrForbidden) {
			t.Errorf("%s: got %v, want ErrForbidden", name, err)
		}
	}
	for name, err := range map[string]error{
		"own through a link":  own(rules.WorkDir+"/link", "file", 65534, 65534, 0o600),
		"own above":           own(rules.WorkDir, "../bin/other", 65534, 65534, 0o600),
		"a mount of nobody's": h.Bind(1, rules.WorkDir, "pg_wal"),
	} {
		if err == nil {
			t.Errorf("%s: was done", name)
		}
	}
	if _, err := h.LivingIn(outside); !errors.Is(err, privileged.ErrForbidden) {
		t.Errorf("look for processes elsewhere: %v", err)
	}
	if err := errors.Join(own(rules.WorkDir, "file", 4321, 4322, 0o640), own(rules.WorkDir, "file", 65534, 65534, 0o640)); err != nil {
		t.Errorf("own: %v", err)
	}
}

// TestHelperMount: a mount is made and ended through a helper, which gives the descriptor away and keeps none.
func TestHelperMount(t *testing.T) {
	needRoot(t)
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip(err)
	}
	rules := room(t)
	h := serve(t, rules)
	dir := filepath.Join(rules.WorkDir, "m")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	id, fuse, err := h.Mount(privileged.MountSpec{Dir: dir, UID: rules.UID, GID: rules.GID, MaxRead: 4096})
	if err != nil {
		t.Fatal(err)
	}
	// To look at the mount itself would be to wait for an answer for ever: nobody serves it.
	if text, err := os.ReadFile("/proc/mounts"); err != nil || !strings.Contains(string(text), " "+dir+" fuse.zenith ") {
		t.Errorf("it is not listed, %v", err)
	}
	if _, _, err := h.Mount(privileged.MountSpec{Dir: dir, UID: rules.UID, GID: rules.GID, MaxRead: 4096}); !errors.Is(err, privileged.ErrBusy) {
		t.Errorf("a second mount: %v, want ErrBusy", err)
	}
	if err := fuse.Close(); err != nil { // nobody serves it now: nothing may wait for it
		t.Fatal(err)
	}
	if cleaned, err := h.CleanStale(dir); !cleaned || err != nil {
		t.Errorf("a dead mount: %v, %v", cleaned, err)
	}
	if err := h.Unmount(id, false); err != nil {
		t.Errorf("unmount what is gone: %v", err)
	}
	h.Release(id)
	if err := h.Abort(id); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("abort what was released: %v", err)
	}
}

// TestHelperWorkDirMoved: a directory that somebody has put in the place of the work directory is not worked in.
func TestHelperWorkDirMoved(t *testing.T) {
	needRoot(t)
	rules := room(t)
	h := serve(t, rules)
	if _, err := h.LivingIn(rules.WorkDir); err != nil { // it has started
		t.Fatal(err)
	}
	moved, file := rules.WorkDir+".moved", filepath.Join(rules.WorkDir, "file")
	if err := errors.Join(os.Rename(rules.WorkDir, moved), os.Mkdir(rules.WorkDir, 0o755), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := h.Own(rules.WorkDir, "file", privileged.Ownership{UID: 65534, GID: 65534, Mode: 0o600}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("own a file in it: %v, want ErrNotExist", err)
	}
	if fi, err := os.Stat(file); err != nil || fi.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the file was given away: %v, %v", fi, err)
	}
}

// TestHelperProcess: a server runs as another account, and how it ended is known.
func TestHelperProcess(t *testing.T) {
	needRoot(t)
	rules := room(t)
	h := serve(t, rules)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	run := func(script string) privileged.Process {
		p, err := h.Start(privileged.Command{Path: rules.Bins[0] + "/postgres", Args: []string{script}, UID: 65534, GID: 65534, Env: []string{"PATH=/usr/bin:/bin"}, Output: out})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if err := run("id -u").Wait(); err != nil {
		t.Error(err)
	}
	if err := run("false").Wait(); err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("a program that fails: %v", err)
	}
	long := run("exec sleep 1000")
	if err := long.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := long.Wait(); err == nil {
		t.Error("a program that was terminated ended well")
	}
	if err := long.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("signal what has ended: %v", err)
	}
	if text, err := os.ReadFile(out.Name()); err != nil || string(text) != "65534\n" {
		t.Errorf("the output is %q, %v", text, err)
	}
}

// TestHelperRmdir: a directory is removed where the account may do so itself, and nowhere else.
func TestHelperRmdir(t *testing.T) {
	needRoot(t)
	rules := room(t)
	h := serve(t, rules)
	mine, roots := filepath.Join(rules.WorkDir, "mine"), filepath.Join(rules.WorkDir, "PG_roots")
	err := errors.Join(os.MkdirAll(mine+"/PG_15", 0o755), os.Chown(mine, 65534, 65534), os.Mkdir(roots, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Rmdir(mine+"/PG_15", 65534, 65534); err != nil {
		t.Error(err)
	}
	if err := h.Rmdir(roots, 65534, 65534); !errors.Is(err, syscall.EACCES) {
		t.Errorf("remove root's: %v, want EACCES", err)
	}
}

// TestHelperEnds: when the page server is gone, its servers end.
func TestHelperEnds(t *testing.T) {
	needRoot(t)
	rules := room(t)
	pid := 0
	t.Run("serve", func(t *testing.T) {
		h := serve(t, rules)
		p, err := h.Start(privileged.Command{Path: rules.Bins[0] + "/postgres", Args: []string{"exec sleep 1000"}, UID: 65534, GID: 65534,
			Env: []string{"PATH=/usr/bin:/bin"}, Output: os.Stderr})
		if err != nil {
			t.Fatal(err)
		}
		pid = p.PID()
		go p.Wait()
	})
	for end := time.Now().Add(time.Minute); privileged.StartOf(pid) != ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d still runs", pid)
		}
	}
}
