package startup

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"zenith/internal/api"
)

// Listeners accepts the connections of a server that may listen at several places.
type Listeners struct {
	name   string
	failed func(error)
	done   chan struct{} // closed by Close

	mu   sync.Mutex
	open map[net.Listener]struct{}
}

// NewListeners makes Listeners for a server, whose name is for errors. failed is told of each connection that could not be
// accepted.
func NewListeners(name string, failed func(error)) *Listeners {
	return &Listeners{name: name, failed: failed, done: make(chan struct{}), open: map[net.Listener]struct{}{}}
}

// acceptPause is how long it takes to try again after a connection could not be accepted.
const acceptPause = 100 * time.Millisecond

// Serve calls start with each connection to l until Close, and owns l from then on.
func (ls *Listeners) Serve(l net.Listener, start func(net.Conn)) error {
	if !ls.add(l) {
		return errors.Join(api.Errorf(api.ErrUnavailable, "the %s is closed", ls.name), l.Close())
	}
	for {
		nc, err := l.Accept()
		if ls.closed() {
			if err == nil { // a connection that came while Close ran
				nc.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		if err != nil { // out of file descriptors, or the peer gave up
			ls.failed(err)
			select {
			case <-time.After(acceptPause):
			case <-ls.done:
			}
			continue
		}
		start(nc)
	}
}

func (ls *Listeners) add(l net.Listener) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed() {
		return false
	}
	ls.open[l] = struct{}{}
	return true
}

func (ls *Listeners) closed() bool {
	select {
	case <-ls.done:
		return true
	default:
		return false
	}
}

// Close ends listening. A second call does nothing.
func (ls *Listeners) Close() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed() {
		return
	}
	close(ls.done)
	for l := range ls.open {
		l.Close()
	}
}
