package privileged

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// Client is the Helper that has a helper process do everything.
type Client struct {
	socket *os.File
	gone   chan struct{} // closed when the helper process is gone

	mu      sync.Mutex // guards what follows, and orders packets
	lastID  uint64
	pending map[uint64]chan answer
	closed  bool
	wg      sync.WaitGroup
}

// answer is a response with the file that came with it.
type answer struct {
	response
	file *os.File // nil: none did
}

// errGone is returned when there is no helper process any more.
var errGone = errors.New("the privileged helper is gone")

// NewClient makes the Helper of the process at the other end of a socket, which it owns from now on.
func NewClient(socket *os.File) *Client {
	c := &Client{socket: socket, gone: make(chan struct{}), pending: map[uint64]chan answer{}}
	c.wg.Go(c.read)
	return c
}

// Close ends the connection, with which the helper process ends.
func (c *Client) Close() error {
	err := shutdown(c.socket) // wakes the reader
	c.wg.Wait()
	return errors.Join(err, c.socket.Close())
}

// Gone is closed when the helper process has ended: nothing can be mounted, or ended, any more.
func (c *Client) Gone() <-chan struct{} { return c.gone }

// read passes responses to those who wait for them.
func (c *Client) read() {
	defer c.end()
	buf := make([]byte, maxPacket)
	for {
		n, files, err := receive(c.socket, buf, maxFiles)
		if err != nil {
			return
		}
		var a answer
		if err := json.Unmarshal(buf[:n], &a.response); err != nil {
			closeAll(files)
			return
		}
		if len(files) > 0 {
			a.file = files[0]
		}
		c.mu.Lock()
		waiting := c.pending[a.ID]
		delete(c.pending, a.ID)
		c.mu.Unlock()
		if waiting == nil {
			closeAll(files)
			continue
		}
		waiting <- a
	}
}

// end tells those who wait that nothing comes any more.
func (c *Client) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, waiting := range c.pending {
		close(waiting)
	}
	clear(c.pending)
	close(c.gone)
}

// call asks for a verb and waits for the answer. result may be nil.
func (c *Client) call(verb string, args, result any, send ...*os.File) (*os.File, error) {
	waiting, err := c.ask(verb, args, send)
	if err != nil {
		return nil, fmt.Errorf("ask the privileged helper: %w", err)
	}
	a, ok := <-waiting
	if !ok {
		return nil, errGone
	}
	if a.Err != nil {
		err = a.Err
	} else if result != nil {
		err = json.Unmarshal(a.Result, result)
	}
	if err != nil && a.file != nil {
		return nil, errors.Join(err, a.file.Close())
	}
	return a.file, err
}

// ask sends a request. The channel gives its answer, or is closed.
func (c *Client) ask(verb string, args any, files []*os.File) (<-chan answer, error) {
	text, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errGone
	}
	c.lastID++
	waiting := make(chan answer, 1)
	c.pending[c.lastID] = waiting
	if err := send(c.socket, request{c.lastID, verb, text}, files...); err != nil {
		delete(c.pending, c.lastID)
		return nil, err
	}
	return waiting, nil
}

// do is call for verbs that give nothing.
func (c *Client) do(verb string, args any) error {
	_, err := c.call(verb, args, nil)
	return err
}

// Mount implements Helper.
func (c *Client) Mount(s MountSpec) (id MountID, fuse *os.File, err error) {
	fuse, err = c.call("mount", s, &id)
	if err == nil && fuse == nil {
		err = errors.New("the privileged helper sent no descriptor of a mount")
	}
	return id, fuse, err
}

// Tune implements Helper.
func (c *Client) Tune(id MountID) error { return c.do("tune", mountArgs{id}) }

// Bind implements Helper.
func (c *Client) Bind(id MountID, dir, at string) error { return c.do("bind", bindArgs{id, dir, at}) }

// Unmount implements Helper.
func (c *Client) Unmount(id MountID, lazy bool) error { return c.do("unmount", lazyArgs{id, lazy}) }

// Abort implements Helper.
func (c *Client) Abort(id MountID) error { return c.do("abort", mountArgs{id}) }

// Release implements Helper.
func (c *Client) Release(id MountID) {
	_ = c.do("release", mountArgs{id}) // fails if the helper is gone, and with it what was to be released
}

// CleanStale implements Helper.
func (c *Client) CleanStale(dir string) (cleaned bool, err error) {
	_, err = c.call("clean-stale", dirArgs{dir}, &cleaned)
	return cleaned, err
}

// Own implements Helper.
func (c *Client) Own(top, rel string, o Ownership) error { return c.do("own", ownArgs{top, rel, o}) }

// Rmdir implements Helper.
func (c *Client) Rmdir(dir string, uid, gid int) error {
	return c.do("rmdir", rmdirArgs{dir, uid, gid})
}

// LivingIn implements Helper.
func (c *Client) LivingIn(dir string) (pids []int, err error) {
	_, err = c.call("living-in", dirArgs{dir}, &pids)
	return pids, err
}

// Signal implements Helper.
func (c *Client) Signal(pid int, start string, sig syscall.Signal) error {
	return c.do("signal", signalArgs{pid, start, sig})
}

// Connect implements Helper.
func (c *Client) Connect(path string) (*os.File, error) {
	conn, err := c.call("connect", pathArgs{path}, nil)
	if err == nil && conn == nil {
		err = errors.New("the privileged helper sent no connection")
	}
	return conn, err
}

// Root implements Helper.
func (c *Client) Root() bool { return true }

// Start implements Helper.
func (c *Client) Start(cmd Command) (Process, error) {
	output := cmd.Output
	cmd.Output = nil
	p := &remote{c: c}
	if _, err := c.call("start", cmd, &p.pid, output); err != nil {
		return nil, err
	}
	return p, nil
}

// remote is a child of the helper process.
type remote struct {
	c   *Client
	pid int
}

func (p *remote) PID() int { return p.pid }

func (p *remote) Wait() error { return p.c.do("wait", pidArgs{p.pid}) }

func (p *remote) Signal(sig syscall.Signal) error {
	return p.c.do("signal-child", signalArgs{PID: p.pid, Sig: sig})
}
