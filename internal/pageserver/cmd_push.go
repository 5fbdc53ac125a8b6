package pageserver

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/api"
)

// pushCommands send history to another page server, and take it from one.
var pushCommands = []command{
	{name: "push", usage: "TENANT BRANCH CONNINFO [THEIR_TENANT]", min: 3, max: 4, cols: []column{
		{"tenant", typeText}, {"from_lsn", typeText}, {"lsn", typeText}, {"bytes", typeInt8},
	}, run: runPush},
	{name: "push_offer", usage: "TENANT OFFER", min: 2, max: 2, cols: textColumns("held"), run: runPushOffer},
	{name: "push_receive", usage: "TENANT OFFER", min: 2, max: 2, tag: "COPY", reads: true, run: runPushReceive},
	{name: "wal_sum", usage: "TENANT TIMELINE FROM TO", min: 4, max: 4, cols: textColumns("sha256"), run: runWALSum},
}

func runPush(ctx context.Context, c *call) error {
	res, err := c.svc().Push(ctx, c.args[0], c.args[1], api.PushOptions{To: c.args[2], Tenant: c.arg(3), Progress: c.notices()})
	if err != nil {
		return err
	}
	var from any
	if res.From != 0 {
		from = res.From.String()
	}
	return c.reply.row(res.Tenant, from, res.LSN.String(), res.Bytes)
}

// offerArg reads argument i.
func (c *call) offerArg(i int) (o api.Offer, err error) {
	if err := json.Unmarshal([]byte(c.args[i]), &o); err != nil {
		return o, api.Errorf(api.ErrBadArgument, "offer: %v", err)
	}
	return o, nil
}

func runPushOffer(ctx context.Context, c *call) error {
	o, err := c.offerArg(1)
	if err != nil {
		return err
	}
	held, err := c.svc().PushOffer(ctx, c.args[0], o)
	if err != nil {
		return err
	}
	return c.rowJSON(held)
}

func runPushReceive(ctx context.Context, c *call) error {
	o, err := c.offerArg(1)
	if err != nil {
		return err
	}
	if err := c.send(&pgproto3.CopyInResponse{OverallFormat: formatBinary}); err != nil {
		return err
	}
	defer c.wakeAtEnd(ctx)()
	r := &copyReader{ctx: ctx, c: c}
	if err := c.svc().PushReceive(ctx, c.args[0], o, r); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r) // CopyDone, if it was not read yet
	return err
}

func runWALSum(ctx context.Context, c *call) error {
	from, err := c.lsnArg(2)
	if err != nil {
		return err
	}
	to, err := c.lsnArg(3)
	if err != nil {
		return err
	}
	sum, err := c.svc().WALSum(ctx, c.args[0], c.args[1], from, to)
	if err != nil {
		return err
	}
	return c.reply.row(sum)
}

// wakeAtEnd has a cancel request end the wait for the client. The function that it returns
// ends that.
func (c *call) wakeAtEnd(ctx context.Context) (end func()) {
	stop := context.AfterFunc(ctx, c.wake)
	return func() {
		if !stop() && c.srv.ctx.Err() == nil {
			c.nc.SetReadDeadline(time.Time{})
		}
	}
}

// copyReader gives what the client sends in a COPY as one stream.
type copyReader struct {
	ctx  context.Context // of the command that reads
	c    *call
	rest []byte
	done bool
}

// Read implements io.Reader.
func (r *copyReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 && !r.done {
		data, err := r.c.receiveCopy(r.ctx)
		if err != nil {
			return 0, err
		}
		r.rest, r.done = data, data == nil
	}
	if r.done {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
