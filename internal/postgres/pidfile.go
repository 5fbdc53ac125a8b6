package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"zenith/internal/durable"
	"zenith/internal/privileged"
)

// pidFile, in the directory of a server, names the process that runs it. It becomes
// crashedFile when that process was lost together with the process that had started it: the
// server counts as crashed until it is started again or stopped.
const (
	pidFile     = "postgres.pid"
	crashedFile = "crashed"
)

// WritePIDFile notes in dir which process runs a server, for EndLeftover in a later process.
func WritePIDFile(dir string, pid int) error {
	text := fmt.Sprintf("%d %s\n", pid, privileged.StartOf(pid))
	return errors.Join(removeFile(dir, crashedFile), durable.WriteFile(filepath.Join(dir, pidFile), []byte(text), 0o644))
}

// RemovePIDFile notes that the server of dir was stopped.
func RemovePIDFile(dir string) error {
	return errors.Join(removeFile(dir, crashedFile), removeFile(dir, pidFile))
}

func removeFile(dir, name string) error {
	if err := os.Remove(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// WasLost reports whether the server of dir was lost: EndLeftover found it, and it was
// neither started nor stopped since.
func WasLost(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, crashedFile))
	return err == nil
}

// EndLeftover ends the server that the pid file of dir names, if that process still is it,
// and notes that it was lost. Where there is no pid file the server was stopped, and there is
// nothing to do.
func EndLeftover(h privileged.Helper, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, pidFile))
	if err != nil {
		return nil
	}
	if fields := strings.Fields(string(text)); len(fields) == 2 {
		if pid, err := strconv.Atoi(fields[0]); err == nil {
			endProcess(h, pid, fields[1], syscall.SIGQUIT, syscall.SIGKILL)
		}
	}
	return durable.Rename(filepath.Join(dir, pidFile), filepath.Join(dir, crashedFile))
}
