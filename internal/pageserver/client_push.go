package pageserver

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// Push is Service's.
func (c *Client) Push(ctx context.Context, tenant, branch string, o api.PushOptions) (api.PushResult, error) {
	args := []string{tenant, branch, o.To}
	if o.Tenant != "" {
		args = append(args, o.Tenant)
	}
	var res api.PushResult
	read := func(f *fields) { res = api.PushResult{Tenant: f.text(), From: f.lsn(), LSN: f.lsn(), Bytes: f.int()} }
	err := c.one(ctx, o.Progress, read, "push", args...)
	return res, err
}

// PushOffer is Service's.
func (c *Client) PushOffer(ctx context.Context, tenant string, o api.Offer) (api.Held, error) {
	var held api.Held
	text, err := json.Marshal(o)
	if err == nil {
		err = c.oneJSON(ctx, &held, "push_offer", tenant, string(text))
	}
	return held, err
}

// PushReceive is Service's. It may return before it has read all of r, and never reads
// after its return.
func (c *Client) PushReceive(ctx context.Context, tenant string, o api.Offer, r io.Reader) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	p := &pump{c: c, r: r}
	return c.command(ctx, nil, answer{in: p}, "push_receive", tenant, string(text))
}

// WALSum is Service's.
func (c *Client) WALSum(ctx context.Context, tenant, timeline string, from, to pg.LSN) (string, error) {
	var sum string
	err := c.one(ctx, nil, func(f *fields) { sum = f.text() }, "wal_sum", tenant, timeline, from.String(), to.String())
	return sum, err
}

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
