package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"zenith/internal/privileged"
)

// FindPostmaster gives the process that a postmaster's pid file names, if it runs in that data directory.
func FindPostmaster(h privileged.Helper, pidFile []byte, dataDir string) (pid int, ok bool) {
	first, _, _ := strings.Cut(string(pidFile), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	return pid, err == nil && pid > 0 && slices.Contains(livingIn(h, dataDir), pid)
}

// Adopt gives the server whose postmaster is the process pid, which somebody else has started: with
// pg_ctl restart, say. It is no child of this process, so it goes on when this process ends, and how
// it ended is known from its pid file only, which one that ends well removes. Of l only Port, LogPath,
// ReadPIDFile, Helper and Timeouts are used.
func Adopt(pid int, l Launch) (*Server, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("watch postgres %d: %w", pid, err)
	}
	a := &adopted{
		pid: pid, start: privileged.StartOf(pid), pidfd: os.NewFile(uintptr(fd), "pidfd"), helper: orInProcess(l.Helper), readPIDFile: l.ReadPIDFile,
	}
	p := &Server{proc: a, port: l.Port, logPath: l.LogPath, timeouts: l.Timeouts.withDefaults(), readPIDFile: l.ReadPIDFile, done: make(chan struct{})}
	if fi, err := os.Lstat(l.LogPath); err == nil {
		p.logFrom = fi.Size()
	}
	go p.wait()
	return p, nil
}

// adopted is a postmaster that is no child of this process.
type adopted struct {
	pid         int
	start       string
	pidfd       *os.File // names the process for ever
	helper      privileged.Helper
	readPIDFile func() ([]byte, error)
}

// errLeftPIDFile is how a server ended that was adopted and left its pid file behind.
var errLeftPIDFile = errors.New("it left its pid file behind")

func (a *adopted) PID() int { return a.pid }

func (a *adopted) Signal(sig syscall.Signal) error { return a.helper.Signal(a.pid, a.start, sig) }

func (a *adopted) Wait() error {
	polled := []unix.PollFd{{Fd: int32(a.pidfd.Fd()), Events: unix.POLLIN}}
	for {
		if n, err := unix.Poll(polled, -1); n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if text, err := a.readPIDFile(); err == nil && strings.HasPrefix(string(text), strconv.Itoa(a.pid)+"\n") {
		return errLeftPIDFile
	}
	return nil
}

// AwaitEnd waits until no postgres lives in a data directory whose postmaster has ended: its children may
// still be going. Those that are there after patience are killed.
func AwaitEnd(ctx context.Context, h privileged.Helper, dataDir string, patience time.Duration) {
	for end := time.Now().Add(patience); len(postgresIn(h, dataDir)) > 0 && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			EndOrphans(h, dataDir)
			return
		}
	}
}
