package postgres

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"zenith/internal/privileged"
)

// EndOrphans kills the processes of a server on dataDir whose postmaster is gone, or that
// were started just before their starter died, so that no pid file names them.
func EndOrphans(h privileged.Helper, dataDir string) {
	for _, pid := range postgresIn(h, dataDir) {
		endProcess(h, pid, privileged.StartOf(pid), syscall.SIGKILL)
	}
}

// postgresIn gives the processes of a server on dataDir.
func postgresIn(h privileged.Helper, dataDir string) (pids []int) {
	for _, pid := range livingIn(h, dataDir) {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && string(name) == "postgres\n" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// livingIn gives the processes whose current directory is dir; none if that cannot be found out.
func livingIn(h privileged.Helper, dir string) []int {
	pids, err := h.LivingIn(dir)
	if err != nil {
		return nil
	}
	return pids
}

// endProcess sends one signal after the other to the process with that pid and start time,
// and waits up to five seconds after each for its end.
func endProcess(h privileged.Helper, pid int, start string, signals ...syscall.Signal) {
	same := func() bool { return start != "" && privileged.StartOf(pid) == start }
	for _, sig := range signals {
		for n := 0; same() && n < 50; n++ {
			if n == 0 && h.Signal(pid, start, sig) != nil {
				return // it is not one of ours
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}
