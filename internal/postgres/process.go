package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processStart is the kernel's start time of a process: with the pid it names one process for
// ever, though pids are used again. It is "" for a process that has ended.
func processStart(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, ok := strings.Cut(string(stat), ") ") // the program's name, in parentheses, may hold spaces
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" { // a zombie has ended
		return ""
	}
	return fields[19]
}

// EndOrphans kills the processes of a server on dataDir whose postmaster is gone, or that
// were started just before their starter died, so that no pid file names them.
func EndOrphans(dataDir string) {
	for _, pid := range postgresIn(dataDir) {
		endProcess(pid, processStart(pid), syscall.SIGKILL)
	}
}

// postgresIn gives the processes of a server on dataDir.
func postgresIn(dataDir string) (pids []int) {
	for _, pid := range livingIn(dataDir) {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && string(name) == "postgres\n" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// livingIn gives the processes whose current directory is dir: all of a server's are in its
// data directory, also the children of a postmaster that was killed.
func livingIn(dir string) (pids []int) {
	procs, _ := filepath.Glob("/proc/[0-9]*") // fails for a bad pattern only
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

// realHome gives dir without symbolic links, as the kernel shows it in /proc. Its last name
// is not looked at: dir may be a mount whose server is dead, where that would fail.
func realHome(dir string) string {
	if real, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		return filepath.Join(real, filepath.Base(dir))
	}
	return dir
}

// endProcess sends one signal after the other to the process with that pid and start time,
// and waits up to five seconds after each for its end.
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
