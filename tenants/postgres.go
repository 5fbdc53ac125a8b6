package tenants

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"zenith/internal/api"
)

// How long a postgres may take to accept connections and to stop. Starting needs no
// recovery, so a start that takes longer than this hangs.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 120 * time.Second
)

// postgres is one running server process, a child of ours.
type postgres struct {
	cmd     *exec.Cmd
	port    int
	logPath string

	done chan struct{} // closed when the process is gone
	mu   sync.Mutex
	err  error // how it ended, once done is closed
	quit bool  // we asked it to end
}

// launch says how a postgres is run.
type launch struct {
	dataDir  string
	logPath  string // its output goes to the end
	port     int    // of 127.0.0.1
	settings []api.Setting
	withUs   bool // it ends when we do, however that happens
}

// startPostgres runs the installation's postgres and returns when it accepts connections.
func startPostgres(ctx context.Context, d distrib, as account, l launch) (*postgres, error) {
	log, err := os.OpenFile(l.logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	began, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	args := []string{"-D", l.dataDir, "-p", strconv.Itoa(l.port)}
	for _, s := range l.settings {
		args = append(args, "-c", s.Name+"="+s.Value)
	}
	cmd := exec.Command(d.bin("postgres"), args...)
	as.run(cmd)
	if l.withUs {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "TZ=" + os.Getenv("TZ")}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	p := &postgres{cmd: cmd, port: l.port, logPath: l.logPath, done: make(chan struct{})}
	go p.wait()
	if err := p.waitReady(ctx, began); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// wait reaps the process. It is the goroutine that startPostgres starts; it ends
// with the process, which stop and kill see to.
func (p *postgres) wait() {
	err := p.cmd.Wait()
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
	close(p.done)
}

// waitReady returns when the server accepts connections.
func (p *postgres) waitReady(ctx context.Context, logFrom int64) error {
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-p.done:
			return fmt.Errorf("postgres did not start: %s", p.lastWords(logFrom))
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return api.Errorf(api.ErrTimeout, "postgres on port %d does not accept connections after %v", p.port, startTimeout)
		case <-poll.C:
			if accepts(p.port) {
				return nil
			}
		}
	}
}

// lastWords gives what the server said before it went: the FATAL line, or the last one.
func (p *postgres) lastWords(from int64) string {
	out, err := os.ReadFile(p.logPath)
	if err != nil || int64(len(out)) < from {
		return "no log"
	}
	for line := range bytes.Lines(out[from:]) {
		if _, msg, ok := bytes.Cut(line, []byte("FATAL:")); ok {
			return string(bytes.TrimSpace(msg))
		}
	}
	return lastLine(out[from:])
}

// running reports whether the process is still there.
func (p *postgres) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// crashed reports whether the process ended otherwise than by our asking, or badly.
func (p *postgres) crashed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.running() && (p.err != nil || !p.quit)
}

// stopSignals are pg_ctl's modes.
var stopSignals = map[string]syscall.Signal{
	"":          syscall.SIGINT,
	"fast":      syscall.SIGINT,
	"smart":     syscall.SIGTERM,
	"immediate": syscall.SIGQUIT,
}

// stop asks the server to shut down in one of pg_ctl's modes and waits for it.
func (p *postgres) stop(ctx context.Context, mode string) error {
	sig, ok := stopSignals[mode]
	if !ok {
		return api.Errorf(api.ErrBadArgument, "stop mode %q: want smart, fast or immediate", mode)
	}
	p.mu.Lock()
	p.quit = true
	p.mu.Unlock()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal postgres %d: %w", p.cmd.Process.Pid, err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(stopTimeout):
		return api.Errorf(api.ErrTimeout, "postgres %d does not stop after %v; try -m immediate", p.cmd.Process.Pid, stopTimeout)
	}
}

// kill ends a server that is of no more use, and waits for it.
func (p *postgres) kill() {
	p.mu.Lock()
	p.quit = true
	p.mu.Unlock()
	// SIGQUIT lets the postmaster end its children; SIGKILL would leave them.
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// accepts reports whether a server on the port lets a client in: it answers a startup
// packet with an authentication request, not with "the database system is starting up".
func accepts(port int) bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return false
	}
	params := "\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00"
	packet := binary.BigEndian.AppendUint32(nil, uint32(4+len(params)))
	if _, err := conn.Write(append(packet, params...)); err != nil {
		return false
	}
	var kind [1]byte
	if _, err := io.ReadFull(conn, kind[:]); err != nil {
		return false
	}
	// 'E' too where it is not for being too early: a role that does not exist, or pg_hba.conf.
	return kind[0] == 'R' || kind[0] == 'E' && !bytes.Contains(readSome(conn), []byte("57P03"))
}

// readSome reads what is there of an answer.
func readSome(r io.Reader) []byte {
	buf := make([]byte, 1024)
	n, err := r.Read(buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

// freePort asks the kernel for a port that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// portFree makes sure that nobody listens on a port that the user named.
func portFree(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return api.Errorf(api.ErrBusy, "port %d: already in use", port)
	}
	return l.Close()
}
