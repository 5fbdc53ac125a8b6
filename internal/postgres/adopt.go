package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// FindPostmaster gives the process that a postmaster's pid file names, if it runs in that data directory.
func FindPostmaster(pidFile []byte, dataDir string) (pid int, ok bool) {
	first, _, _ := strings.Cut(string(pidFile), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	return pid, err == nil && pid > 0 && livesIn(pid, realHome(dataDir))
}

// Adopt gives the server whose postmaster is the process pid, which somebody else has started: with
// pg_ctl restart, say. It is no child of this process, so it goes on when this process ends, and how
// it ended is known from its pid file only, which one that ends well removes. Of l only Port, LogPath,
// ReadPIDFile and Timeouts are used.
func Adopt(pid int, l Launch) (*Server, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("watch postgres %d: %w", pid, err)
	}
	p := &Server{
		pid: pid, pidfd: os.NewFile(uintptr(fd), "pidfd"), port: l.Port, logPath: l.LogPath, timeouts: l.Timeouts.withDefaults(),
		readPIDFile: l.ReadPIDFile, done: make(chan struct{}),
	}
	if fi, err := os.Lstat(l.LogPath); err == nil {
		p.logFrom = fi.Size()
	}
	go p.waitAdopted()
	return p, nil
}

// errLeftPIDFile is how a server ended that was adopted and left its pid file behind.
var errLeftPIDFile = errors.New("it left its pid file behind")

// waitAdopted waits for the end of a process that is no child. It ends with the process.
func (p *Server) waitAdopted() {
	polled := []unix.PollFd{{Fd: int32(p.pidfd.Fd()), Events: unix.POLLIN}}
	for {
		if n, err := unix.Poll(polled, -1); n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	var ended error
	if text, err := p.readPIDFile(); err == nil && strings.HasPrefix(string(text), strconv.Itoa(p.pid)+"\n") {
		ended = errLeftPIDFile
	}
	p.mu.Lock()
	p.err = ended
	p.mu.Unlock()
	close(p.done)
}

// AwaitEnd waits until no postgres lives in a data directory whose postmaster has ended: its children may
// still be going. Those that are there after patience are killed.
func AwaitEnd(ctx context.Context, dataDir string, patience time.Duration) {
	for end := time.Now().Add(patience); len(postgresIn(dataDir)) > 0 && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			EndOrphans(dataDir)
			return
		}
	}
}
