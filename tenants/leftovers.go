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

const pidFile = "postgres.pid"

// writePIDFile notes which process runs a compute, for a page server that comes after
// one that was killed.
func writePIDFile(dir string, pid int) error {
	text := fmt.Sprintf("%d %s\n", pid, processStart(pid))
	return os.WriteFile(filepath.Join(dir, pidFile), []byte(text), 0o644)
}

func removePIDFile(dir string) error {
	if err := os.Remove(filepath.Join(dir, pidFile)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
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
	if !ok || len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// cleanComputes ends what a killed page server left running in dir, the computes of a
// tenant: a postgres whose mount is gone can do nothing any more.
func cleanComputes(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		compute := filepath.Join(dir, e.Name())
		_, stale := fusefs.CleanStale(filepath.Join(compute, "data"))
		err = errors.Join(err, endLeftover(compute), stale)
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
	fields := strings.Fields(string(text))
	if len(fields) != 2 {
		return removePIDFile(compute)
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil {
		return removePIDFile(compute)
	}
	same := func() bool { return processStart(pid) == fields[1] }
	for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
		if !same() {
			break
		}
		_ = syscall.Kill(pid, sig)
		for range 50 {
			if !same() {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	return removePIDFile(compute)
}
