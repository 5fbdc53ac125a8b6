package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCopiedWorkDir: a command on a copy of a work directory never acts on the original, whose address the copy has,
// and a copy that was made while the page server ran is not started on.
func TestCopiedWorkDir(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("branch", "victim", "main")
	main := s.start("main")
	s.sql(main, "CREATE TABLE t ()")
	c := &site{t: t, dir: s.dir, work: s.work + "-copy"}
	if out, err := exec.Command("cp", "-a", "--one-file-system", s.work, c.work).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	for _, args := range []string{"branch delete -f victim", "pg stop main", "gc --retain 0B --force", "stop", "start"} {
		if r := c.run(strings.Fields(args)...); r.code == 0 {
			t.Errorf("zenith %s on the copy: %s%s", args, r.out, r.err)
		}
	}
	if said := c.run("start").err; !strings.Contains(said, "cop") {
		t.Errorf("start on the copy does not say what is wrong with it: %s", said)
	}
	if !strings.Contains(s.ok("branch", "list"), "victim") {
		t.Error("a command on the copy has deleted a branch of the original")
	}
	s.want(main, "SELECT count(*) FROM t", "0")
}

// TestWorkDirIsLocked: a second page server keeps out of a work directory though the first one's pid file is gone.
func TestWorkDirIsLocked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	main := s.start("main")
	pidFile := filepath.Join(s.work, "pageserver.pid")
	pid := pidIn(t, pidFile)
	if err := os.Remove(pidFile); err != nil {
		t.Fatal(err)
	}
	s.fails(11, "start")
	s.want(main, "SELECT 1", "1")
	// zenith stop knows a page server by its pid file: without it, it is stopped by a signal.
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page server to end", func() bool { return unix.Kill(pid, 0) != nil })
}

// TestFullDisk: a server that has met a full disk accepts connections and commits again, by itself, when there is room,
// and has lost nothing.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s, l := emptySite(t), &ledger{}
	d := newDiskOf(t, filepath.Join(s.dir, "disk.img"), filepath.Join(s.dir, "disk"), 512<<20)
	s.work = filepath.Join(d.dir, ".zenith")
	t.Cleanup(func() {
		s.run("stop")
		d.unmount()
	})
	s.ok("init", "--pg-distrib", pgDistrib)
	s.ok("start")
	main := s.start("main")
	s.sql(main, "CREATE TABLE ledger (i int PRIMARY KEY)")
	filler := filepath.Join(d.dir, "filler")
	l.during(s, main, 50, func() {
		fill(t, filler)
		eventually(t, "an error of the full disk", func() bool {
			return s.runCmd(exec.Command(program("psql"), main, "-XqAt", "-v", "ON_ERROR_STOP=1",
				"-c", "CREATE TABLE IF NOT EXISTS big (t text)", "-c", "INSERT INTO big SELECT repeat('x', 1000) FROM generate_series(1, 100000)", "-c", "CHECKPOINT")).code != 0
		})
	})
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server to commit again", func() bool {
		return s.runCmd(exec.Command(program("psql"), main, "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", "DROP TABLE IF EXISTS big", "-c", "CREATE TABLE again ()")).code == 0
	})
	l.check(s, main)
	s.ok("status")
	s.ok("check")
}

// fill makes a file that takes all of a file system's room.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for off, n := int64(0), int64(64<<20); n >= 4096; {
		err := unix.Fallocate(int(f.Fd()), 0, off, n)
		switch {
		case err == nil:
			off += n
		case errors.Is(err, unix.ENOSPC):
			n /= 2
		case !errors.Is(err, unix.EINTR):
			t.Fatal(err)
		}
	}
}

// TestManyMounts: what two hundred mounts at once have needed is given back when they are gone.
func TestManyMounts(t *testing.T) {
	t.Parallel()
	const many, spare = 200, 40
	s := newSite(t)
	pid := pidIn(t, filepath.Join(s.work, "pageserver.pid"))
	threads := func() int {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(tasks)
	}
	before, at := threads(), "main@"+s.lsn("main")
	var dirs []string
	for n := range many {
		dir := s.mountDir(fmt.Sprintf("m%d", n))
		s.ok("mount", at, dir)
		dirs = append(dirs, dir)
		if _, err := os.ReadFile(filepath.Join(dir, "PG_VERSION")); err != nil {
			t.Fatal(err)
		}
	}
	most := threads()
	for _, dir := range dirs {
		s.ok("umount", dir)
	}
	eventually(t, fmt.Sprintf("the %d threads to become about %d again", most, before), func() bool { return threads() <= before+spare })
}
