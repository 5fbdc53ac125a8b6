package postgres

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"zenith/internal/api"
	"zenith/internal/dirfd"
	"zenith/internal/privileged"
)

// Server is one running postmaster: a child of this process, or one that Adopt found.
type Server struct {
	proc     privileged.Process
	port     int
	logPath  string
	logFrom  int64 // where this server's output begins in the log
	timeouts Timeouts

	readPIDFile func() ([]byte, error) // gives the contents of postmaster.pid

	done chan struct{} // closed when the process is gone
	mu   sync.Mutex
	err  error // how it ended, once done is closed; nil: well
}

// Launch says how a server is run.
type Launch struct {
	DataDir  string
	LogPath  string // its output is appended; in a directory that the account cannot write
	Port     int    // of 127.0.0.1
	Settings []api.Setting
	// DieWithParent has the kernel end the server when this process ends, even by SIGKILL: a
	// server whose data files this process serves could do nothing any more but commit.
	DieWithParent bool
	Timeouts      Timeouts
	// Helper starts the server; nil: this process does.
	Helper privileged.Helper
	// ReadPIDFile gives what the server has written to postmaster.pid; nil: it is read from DataDir. A
	// process that serves DataDir itself must not read it there.
	ReadPIDFile func() ([]byte, error)
}

// Timeouts bound the waiting for a server. Zero means the default.
type Timeouts struct {
	Start time.Duration // until it accepts connections; default 60 s, since no start here needs recovery
	Stop  time.Duration // from the signal to its end; default 120 s
	Kill  time.Duration // from SIGQUIT to SIGKILL, where nothing of it is wanted any more; default 10 s
}

func (t Timeouts) withDefaults() Timeouts {
	return Timeouts{
		Start: cmp.Or(t.Start, 60*time.Second),
		Stop:  cmp.Or(t.Stop, 120*time.Second),
		Kill:  cmp.Or(t.Kill, 10*time.Second),
	}
}

// Start runs the installation's postgres and returns when it accepts connections. If it does
// not come to that, nothing of it is left, and the error has the server's own reason, from its
// log. ErrTimeout: it neither ended nor accepted connections in time.
func Start(ctx context.Context, d Distrib, as Account, l Launch) (*Server, error) {
	args := []string{"-D", l.DataDir, "-p", strconv.Itoa(l.Port)}
	for _, s := range l.Settings {
		args = append(args, "-c", s.Name+"="+s.Value)
	}
	p := &Server{port: l.Port, logPath: l.LogPath, timeouts: l.Timeouts.withDefaults(), readPIDFile: l.ReadPIDFile, done: make(chan struct{})}
	if p.readPIDFile == nil {
		p.readPIDFile = pidFileIn(l.DataDir)
	}
	cmd := as.command(d.bin("postgres"), args)
	cmd.DieWithParent = l.DieWithParent
	if err := p.start(orInProcess(l.Helper), cmd); err != nil {
		return nil, err
	}
	if err := p.waitReady(ctx); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// start starts the process with its output appended to the log. Of this process's
// environment it gets TZ alone: nothing else may configure it behind our back.
func (p *Server) start(h privileged.Helper, cmd privileged.Command) error {
	log, err := dirfd.OpenFile(p.logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	if p.logFrom, err = log.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	cmd.Output = log
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "TZ=" + os.Getenv("TZ")}
	if p.proc, err = h.Start(cmd); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	go p.wait()
	return nil
}

// orInProcess gives the Helper that is to be used where none, or one, is given.
func orInProcess(h privileged.Helper) privileged.Helper {
	if h == nil {
		return &privileged.InProcess{}
	}
	return h
}

// wait reaps the process. It is the goroutine that start starts; it ends with the process,
// which Stop and Kill see to.
func (p *Server) wait() {
	err := p.proc.Wait()
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
	close(p.done)
}

// PID is the postmaster's process id.
func (p *Server) PID() int { return p.proc.PID() }

// Done is closed when the process has ended.
func (p *Server) Done() <-chan struct{} { return p.done }

// Running reports whether the process is still there.
func (p *Server) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Crashed reports whether the process ended, and not well. A server that somebody else has stopped,
// with pg_ctl, has ended well.
func (p *Server) Crashed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.Running() && p.err != nil
}

// Reason says, for a log, how a server ended of which Crashed is true.
func (p *Server) Reason() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%v: %s", p.err, p.lastWords())
}

// stopSignals are pg_ctl's modes; "" is the default one.
var stopSignals = map[string]syscall.Signal{
	"":          syscall.SIGINT,
	"fast":      syscall.SIGINT,
	"smart":     syscall.SIGTERM,
	"immediate": syscall.SIGQUIT,
}

// Stop asks the server to shut down in one of pg_ctl's modes and waits for its end. A second
// Stop, in another mode, may follow one that gave ErrTimeout or ended with ctx.
func (p *Server) Stop(ctx context.Context, mode string) error {
	if err := p.Signal(mode); err != nil {
		return err
	}
	return p.awaitStop(ctx)
}

// Signal asks the server to shut down in one of pg_ctl's modes, and does not wait.
func (p *Server) Signal(mode string) error {
	sig, ok := stopSignals[mode]
	if !ok {
		return api.Errorf(api.ErrBadArgument, "stop mode %q: want smart, fast or immediate", mode)
	}
	if err := p.proc.Signal(sig); err != nil {
		return fmt.Errorf("signal postgres %d: %w", p.PID(), err)
	}
	return nil
}

// Reload has the server read its configuration again, and does not wait.
func (p *Server) Reload() error {
	if err := p.proc.Signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("signal postgres %d: %w", p.PID(), err)
	}
	return nil
}

// awaitStop waits for the end of a server that was asked to end.
func (p *Server) awaitStop(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(p.timeouts.Stop):
		return api.Errorf(api.ErrTimeout, "postgres %d does not stop after %v; try -m immediate", p.PID(), p.timeouts.Stop)
	}
}

// Kill ends a server that is of no more use, and waits for its end.
func (p *Server) Kill() {
	// SIGQUIT lets the postmaster end its children; SIGKILL would leave them.
	_ = p.proc.Signal(syscall.SIGQUIT)
	select {
	case <-p.done:
	case <-time.After(p.timeouts.Kill):
		_ = p.proc.Signal(syscall.SIGKILL)
		<-p.done
	}
}
