package pageserver

import (
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/jackc/pgproto3/v2"
)

// pump sends a stream to the server in a goroutine of its own, while the client waits for
// the server's answer: that may be an error, long before the stream's end.
type pump struct {
	c       *Client
	r       io.Reader
	stopped atomic.Bool
	done    chan struct{} // nil until start
}

// pumpTimeout is how long the server may take for 64 KiB.
const pumpTimeout = 5 * time.Minute

func (p *pump) start() {
	p.done = make(chan struct{})
	go func() {
		defer close(p.done)
		p.run()
	}()
}

// run sends until the end of the stream. What the connection says of it is in the server's
// answer, or in that there is none.
func (p *pump) run() {
	const header = 5
	buf := make([]byte, header+copyChunk)
	buf[0] = 'd'
	for !p.stopped.Load() {
		n, err := io.ReadFull(p.r, buf[header:])
		if n > 0 {
			binary.BigEndian.PutUint32(buf[1:], uint32(n+4))
			p.c.nc.SetWriteDeadline(time.Now().Add(pumpTimeout))
			if _, err := p.c.nc.Write(buf[:header+n]); err != nil {
				p.c.nc.Close() // so that the client's wait ends, too
				return
			}
		}
		if err == nil {
			continue
		}
		var last pgproto3.FrontendMessage = &pgproto3.CopyDone{}
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			last = &pgproto3.CopyFail{Message: err.Error()}
		}
		if p.c.fe.Send(last) != nil {
			p.c.nc.Close()
		}
		return
	}
}

// stop ends the goroutine, if there is one, and waits for it. broken says that the
// connection is of no use any more.
func (p *pump) stop(broken bool) {
	if p == nil || p.done == nil {
		return
	}
	p.stopped.Store(true)
	if broken {
		p.c.nc.Close()
	}
	<-p.done
	p.c.nc.SetWriteDeadline(time.Time{})
}
