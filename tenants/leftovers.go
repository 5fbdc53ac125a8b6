package tenants

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"zenith/fusefs"
)

// throwawayPrefix begins the directory names of pg exec's computes.
const throwawayPrefix = ".exec-"

// pidFile names the process that runs a compute. crashedFile is what becomes of it when
// that process was lost with its page server: the compute is "crashed" until it is started.
const (
	pidFile     = "postgres.pid"
	crashedFile = "crashed"
)

// writePIDFile notes which process runs a compute, for a page server that comes after
// one that was killed.
func writePIDFile(dir string, pid int) error {
	text := fmt.Sprintf("%d %s\n", pid, processStart(pid))
	return errors.Join(removeFile(dir, crashedFile), os.WriteFile(filepath.Join(dir, pidFile), []byte(text), 0o644))
}

// removePIDFile says that the compute was stopped.
func removePIDFile(dir string) error {
	return errors.Join(removeFile(dir, crashedFile), removeFile(dir, pidFile))
}

func removeFile(dir, name string) error {
	if err := os.Remove(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// removeSockets removes the unix sockets that a postgres which did not end by itself left
// in its compute's directory: their lock files would keep the next one from starting.
func removeSockets(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, ".s.PGSQL.*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// wasLost reports whether the compute's process was lost with its page server.
func wasLost(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, crashedFile))
	return err == nil
}

// processStart is the kernel's start time of a process: with the pid it names one
// process for ever. It is "" for one that is gone.
func processStart(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, ok := strings.Cut(string(stat), ") ") // the name may hold anything
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" { // a zombie has ended
		return ""
	}
	return fields[19]
}

// cleanComputes ends what a killed page server left running in dir, the computes of a
// tenant: a postgres whose mount is gone can do nothing any more but commit, where its WAL does
// not pass through the mount.
func cleanComputes(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		compute := filepath.Join(dir, e.Name())
		err = errors.Join(err, endLeftover(compute))
		data := filepath.Join(compute, "data")
		mounted, merr := fusefs.IsMounted(data)
		if mounted {
			endOrphans(data) // while the paths of processes can be seen
		}
		_, stale := fusefs.CleanStale(data)
		err = errors.Join(err, merr, stale)
		if err == nil && strings.HasPrefix(e.Name(), throwawayPrefix) {
			err = os.RemoveAll(compute)
		}
	}
	return err
}

// endLeftover ends the postmaster that the pid file names, if that process still is it.
func endLeftover(compute string) error {
	text, err := os.ReadFile(filepath.Join(compute, pidFile))
	if err != nil {
		return nil // was not running
	}
	if fields := strings.Fields(string(text)); len(fields) == 2 {
		if pid, err := strconv.Atoi(fields[0]); err == nil {
			endProcess(pid, fields[1], syscall.SIGQUIT, syscall.SIGKILL)
		}
	}
	return os.Rename(filepath.Join(compute, pidFile), filepath.Join(compute, crashedFile))
}

// endOrphans ends what is left of a server: of one whose postmaster was killed, or whose page
// server was before it had noted it.
func endOrphans(dataDir string) {
	for _, pid := range livingIn(dataDir) {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && string(name) == "postgres\n" {
			endProcess(pid, processStart(pid), syscall.SIGKILL)
		}
	}
}

// livingIn gives the processes that live in dir, as the children of a postmaster do that was killed.
func livingIn(dir string) (pids []int) {
	procs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	home := realHome(dir)
	for _, proc := range procs {
		if pid, err := strconv.Atoi(filepath.Base(proc)); err == nil && livesIn(pid, home) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// livesIn reports whether the current directory of a process is home, a path that realHome gave.
func livesIn(pid int, home string) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && cwd == home
}

// realHome gives dir, which may be a dead mount, as the kernel calls it.
func realHome(dir string) string {
	if real, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		return filepath.Join(real, filepath.Base(dir))
	}
	return dir
}

// endProcess ends the process with that pid and start time, by one signal after the other.
func endProcess(pid int, start string, signals ...syscall.Signal) {
	same := func() bool { return start != "" && processStart(pid) == start }
	for _, sig := range signals {
		for n := 0; same() && n < 50; n++ {
			if n == 0 {
				_ = syscall.Kill(pid, sig)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}
