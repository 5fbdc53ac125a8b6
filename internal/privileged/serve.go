package privileged

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"zenith/internal/dirfd"
)

// Serve does what comes over a socket, as far as the rules go, until the other end is gone. Then it ends the servers
// that it has started: they could do nothing any more but commit.
func Serve(socket *os.File, rules Rules) (err error) {
	if rules.work, err = dirfd.OpenReal(rules.WorkDir); err != nil {
		return errors.Join(err, shutdown(socket)) // or the page server would wait for an answer
	}
	defer func() { err = errors.Join(err, rules.work.Close()) }()
	s := &server{socket: socket, do: &InProcess{rules: &rules}, children: map[int]Process{}}
	err = s.serve()
	s.endChildren(syscall.SIGQUIT)
	killer := time.AfterFunc(endPatience, func() { s.endChildren(syscall.SIGKILL) })
	defer killer.Stop()
	s.wg.Wait() // for the requests that wait for children, too
	return err
}

// endPatience is how long servers may take to end when the page server is gone.
const endPatience = 10 * time.Second

// server is the helper's side of the socket.
type server struct {
	socket *os.File
	do     *InProcess
	wg     sync.WaitGroup // requests that are being answered

	mu       sync.Mutex // guards children, and orders packets
	children map[int]Process
}

func (s *server) serve() error {
	buf := make([]byte, maxPacket)
	for {
		n, files, err := receive(s.socket, buf, maxFiles)
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read from the page server: %w", err)
		}
		var r request
		if err := json.Unmarshal(buf[:n], &r); err != nil {
			closeAll(files)
			return fmt.Errorf("read from the page server: %w", err)
		}
		s.wg.Go(func() {
			defer closeAll(files)
			s.answer(r, files)
		})
	}
}

// answer does what a request asks for.
func (s *server) answer(r request, files []*os.File) {
	res := response{ID: r.ID}
	do, ok := verbs[r.Verb]
	if !ok {
		res.Err = toWire(forbidden("%q", r.Verb))
	}
	var file *os.File
	if ok {
		result, f, err := do(s, r.Args, files)
		if err == nil && result != nil {
			res.Result, err = json.Marshal(result)
		}
		res.Err, file = toWire(err), f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := send(s.socket, res, file); err != nil && res.Err == nil { // the page server is gone, or the answer too long
		res = response{ID: r.ID, Err: toWire(err)}
		_ = send(s.socket, res) // fails where there is nobody any more whom to tell
	}
	if file != nil {
		file.Close()
	}
}

// verb does one kind of request. The file in what it gives is sent, and closed.
type verb func(s *server, args json.RawMessage, files []*os.File) (result any, file *os.File, err error)

// verbs are all that a helper does.
var verbs = map[string]verb{
	"mount": func(s *server, args json.RawMessage, _ []*os.File) (any, *os.File, error) {
		var spec MountSpec
		if err := json.Unmarshal(args, &spec); err != nil {
			return nil, nil, err
		}
		return result3(s.do.Mount(spec))
	},
	"tune":        plain(func(s *server, a mountArgs) (any, error) { return nil, s.do.Tune(a.ID) }),
	"bind":        plain(func(s *server, a bindArgs) (any, error) { return nil, s.do.Bind(a.ID, a.Dir, a.At) }),
	"unmount":     plain(func(s *server, a lazyArgs) (any, error) { return nil, s.do.Unmount(a.ID, a.Lazy) }),
	"abort":       plain(func(s *server, a mountArgs) (any, error) { return nil, s.do.Abort(a.ID) }),
	"release":     plain(func(s *server, a mountArgs) (any, error) { s.do.Release(a.ID); return nil, nil }),
	"clean-stale": plain(func(s *server, a dirArgs) (any, error) { return s.do.CleanStale(a.Dir) }),
	"own":         plain(func(s *server, a ownArgs) (any, error) { return nil, s.do.Own(a.Top, a.Rel, a.To) }),
	"rmdir":       plain(func(s *server, a rmdirArgs) (any, error) { return nil, s.do.Rmdir(a.Dir, a.UID, a.GID) }),
	"living-in":   plain(func(s *server, a dirArgs) (any, error) { return s.do.LivingIn(a.Dir) }),
	"signal":      plain(func(s *server, a signalArgs) (any, error) { return nil, s.do.Signal(a.PID, a.Start, a.Sig) }),
	"connect": func(s *server, args json.RawMessage, _ []*os.File) (any, *os.File, error) {
		var a pathArgs
		if err := json.Unmarshal(args, &a); err != nil {
			return nil, nil, err
		}
		conn, err := s.do.Connect(a.Path)
		return nil, conn, err
	},
	"start": func(s *server, args json.RawMessage, files []*os.File) (any, *os.File, error) {
		var c Command
		if err := json.Unmarshal(args, &c); err != nil {
			return nil, nil, err
		}
		if len(files) != 1 {
			return nil, nil, errors.New("start needs a file for the output")
		}
		c.Output = files[0]
		pid, err := s.start(c)
		return pid, nil, err
	},
	"wait":         plain(func(s *server, a pidArgs) (any, error) { return nil, s.wait(a.PID) }),
	"signal-child": plain(func(s *server, a signalArgs) (any, error) { return nil, s.signalChild(a.PID, a.Sig) }),
}

// plain makes a verb that takes and gives no files.
func plain[A any](do func(s *server, a A) (any, error)) verb {
	return func(s *server, args json.RawMessage, _ []*os.File) (any, *os.File, error) {
		var a A
		if err := json.Unmarshal(args, &a); err != nil {
			return nil, nil, err
		}
		result, err := do(s, a)
		return result, nil, err
	}
}

func result3(id MountID, file *os.File, err error) (any, *os.File, error) { return id, file, err }

func (s *server) start(c Command) (int, error) {
	p, err := s.do.Start(c)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.children[p.PID()] = p
	return p.PID(), nil
}

// child finds a child that nobody has waited for.
func (s *server) child(pid int) (Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.children[pid]
	if p == nil {
		return nil, forbidden("process %d, which it has not started,", pid)
	}
	return p, nil
}

func (s *server) wait(pid int) error {
	p, err := s.child(pid)
	if err != nil {
		return err
	}
	err = p.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.children, pid)
	return err
}

func (s *server) signalChild(pid int, sig syscall.Signal) error {
	p, err := s.child(pid)
	if err != nil {
		return nil // it has ended
	}
	if !slices.Contains(signals, sig) {
		return forbidden("send %v", sig)
	}
	return p.Signal(sig)
}

// endChildren sends a signal to the servers that are still there.
func (s *server) endChildren(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.children {
		_ = p.Signal(sig) // fails for what has ended
	}
}

// shutdown ends both directions of a socket.
func shutdown(socket *os.File) error { return unix.Shutdown(int(socket.Fd()), unix.SHUT_RDWR) }
