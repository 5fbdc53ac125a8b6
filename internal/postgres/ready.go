package postgres

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"zenith/internal/api"
)

// waitReady returns when the server accepts connections. It learns that from the pid file, into which the
// postmaster writes its state. To try a connection instead would cost a backend, and each refusal a line in
// the server's log.
func (p *Server) waitReady(ctx context.Context) error {
	late := time.NewTimer(p.timeouts.Start)
	defer late.Stop()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-p.done:
			return fmt.Errorf("postgres did not start: %s", p.lastWords())
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return api.Errorf(api.ErrTimeout, "postgres on port %d does not accept connections after %v", p.port, p.timeouts.Start)
		case <-poll.C:
			if text, err := p.readPIDFile(); err == nil && saysReady(text, p.PID()) {
				return nil
			}
		}
	}
}

// pidFileIn reads the pid file of a server on an ordinary data directory.
func pidFileIn(dataDir string) func() ([]byte, error) {
	return func() ([]byte, error) { return DirFiles(dataDir).ReadFile(PostmasterPID) }
}

// PostmasterPID is the name of a postmaster's pid file in its data directory.
const PostmasterPID = "postmaster.pid"

// Lines of a postmaster's pid file (LOCK_FILE_LINE_PID and LOCK_FILE_LINE_PM_STATUS of miscadmin.h).
const (
	linePID    = 0
	lineStatus = 7
)

// saysReady reports whether the contents of a postmaster's pid file say that it is the process
// pid and accepts connections.
func saysReady(text []byte, pid int) bool {
	lines := strings.Split(string(text), "\n")
	return len(lines) > lineStatus && strings.TrimSpace(lines[linePID]) == strconv.Itoa(pid) && strings.TrimSpace(lines[lineStatus]) == "ready"
}

// FreePort asks the kernel for a port of 127.0.0.1 that nobody listens on.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// ChoosePort makes sure that nobody listens on a port, or finds one for 0.
func ChoosePort(port int) (int, error) {
	if port == 0 {
		return FreePort()
	}
	return port, CheckPort(port)
}

// CheckPort makes sure that nobody listens on a port that the user named. ErrBusy: somebody does.
func CheckPort(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return api.Errorf(api.ErrBusy, "port %d: already in use", port)
	}
	return l.Close()
}
