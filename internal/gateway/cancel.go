package gateway

import (
	"sync"
	"time"

	"zenith/internal/startup"
)

// cancelKeys remembers which server has given out which key for cancel requests.
type cancelKeys struct {
	mu      sync.Mutex
	servers map[string]server // by process id and key, as they are in BackendKeyData and in a CancelRequest
}

// add remembers the key of a connection to s. forget undoes that.
func (k *cancelKeys) add(key string, s server) (forget func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.servers[key] = s
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.servers[key] == s {
			delete(k.servers, key)
		}
	}
}

func (k *cancelKeys) find(key string) (s server, found bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, found = k.servers[key]
	return s, found
}

// cancelTime bounds how long a cancel request may take on its way to a server.
const cancelTime = 10 * time.Second

// passCancel passes a cancel request on to the server whose key it has. As with PostgreSQL, the client is not told
// whether there is one, but the connection is closed when the request has arrived.
func (c *conn) passCancel(request []byte) {
	s, found := c.g.keys.find(string(request))
	if !found {
		return
	}
	nc, err := s.dial(c.g.ctx)
	if err == nil {
		defer nc.Close()
		err = nc.SetDeadline(time.Now().Add(cancelTime))
	}
	if err == nil {
		_, err = nc.Write(startup.CancelRequest(request))
	}
	if err == nil {
		_, err = nc.Read(make([]byte, 1)) // the server closes the connection when it has sent the signal
	}
	if err != nil && !isClosed(err) {
		c.g.opt.Log.Warn("pass on a cancel request", "server", s.address, "err", err)
		return
	}
	c.g.counts.cancels.Add(1)
}

// server is where a postgres listens.
type server struct{ network, address string }
