package pageserver

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/pg"
)

// pushVerbs send history to another page server, and take it from one.
var pushVerbs = group{"Pushing to other page servers", []aVerb{&pushVerb, &pushOfferVerb, &pushReceiveVerb, &walSumVerb}}

type pushArgs struct {
	Tenant   string `arg:"TENANT"`
	Branch   string `arg:"BRANCH"`
	ConnInfo string `arg:"CONNINFO"`
	There    string `arg:"THEIR_TENANT,optional"`
}

var pushVerb = one[pushArgs, api.PushResult]{
	verb: verb{name: "push", role: access.Admin, help: "sends what the page server at CONNINFO does not have of a branch; from_lsn is NULL where it had nothing"},
	do: func(ctx context.Context, c *call, a pushArgs) (api.PushResult, error) {
		return c.svc.Push(ctx, a.Tenant, a.Branch, api.PushOptions{To: a.ConnInfo, Tenant: a.There, Progress: c.notices()})
	},
}

// Push is api.Service's.
func (c *Client) Push(ctx context.Context, tenant, branch string, o api.PushOptions) (api.PushResult, error) {
	return pushVerb.call(ctx, c, o.Progress, pushArgs{tenant, branch, o.To, o.Tenant})
}

type offerArgs struct {
	Tenant string   `arg:"TENANT"`
	Offer  offerArg `arg:"OFFER"`
}

// offerArg is an Offer as one word of JSON.
type offerArg struct{ api.Offer }

// MarshalText implements encoding.TextMarshaler.
func (o offerArg) MarshalText() ([]byte, error) { return json.Marshal(o.Offer) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *offerArg) UnmarshalText(text []byte) error {
	if err := json.Unmarshal(text, &o.Offer); err != nil {
		return api.Errorf(api.ErrBadArgument, "offer: %v", err)
	}
	return nil
}

type pushOfferRow struct {
	Held api.Held `json:"held"`
}

var pushOfferVerb = one[offerArgs, pushOfferRow]{
	verb: verb{name: "push_offer", role: access.Writer, help: "what is here of a timeline that another page server offers"},
	do: func(ctx context.Context, c *call, a offerArgs) (pushOfferRow, error) {
		held, err := c.svc.PushOffer(ctx, a.Tenant, a.Offer.Offer)
		return pushOfferRow{held}, err
	},
}

// PushOffer is api.Service's.
func (c *Client) PushOffer(ctx context.Context, tenant string, o api.Offer) (api.Held, error) {
	r, err := pushOfferVerb.call(ctx, c, nil, offerArgs{tenant, offerArg{o}})
	return r.Held, err
}

var pushReceiveVerb = plain[offerArgs]{
	verb: verb{name: "push_receive", role: access.Writer, help: "takes an offered timeline's history, a CopyIn, and answers when it is durable", tag: copyTag, reply: replyTaken, reads: true},
	do: func(ctx context.Context, c *call, a offerArgs) error {
		if err := c.mayMake(ctx, a.Tenant); err != nil {
			return err
		}
		if err := c.send(&pgproto3.CopyInResponse{OverallFormat: formatBinary}); err != nil {
			return err
		}
		defer c.wakeAtEnd(ctx)()
		r := &copyReader{ctx: ctx, c: c}
		if err := c.svc.PushReceive(ctx, a.Tenant, a.Offer.Offer, r); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, r) // CopyDone, if it was not read yet
		return err
	},
}

// mayMake refuses a tenant that does not exist and would be made: that takes an admin.
func (c *call) mayMake(ctx context.Context, tenant string) error {
	if tenant == "" || c.who.On(tenant) >= access.Admin { // "" is the default tenant, which is never made
		return nil
	}
	ids, err := c.svc.TenantList(ctx)
	if err == nil && !slices.Contains(ids, tenant) {
		err = errNoTenant(tenant)
	}
	return err
}

// PushReceive is api.Service's. It may return before it has read all of r, and never reads
// after its return.
func (c *Client) PushReceive(ctx context.Context, tenant string, o api.Offer, r io.Reader) error {
	return c.command(ctx, nil, answer{in: &pump{c: c, r: r}}, &pushReceiveVerb.verb, offerArgs{tenant, offerArg{o}})
}

type walSumArgs struct {
	Tenant   string `arg:"TENANT"`
	Timeline string `arg:"TIMELINE"`
	From     pg.LSN `arg:"FROM"`
	To       pg.LSN `arg:"TO"`
}

type walSumRow struct {
	Sum string `json:"sha256"`
}

var walSumVerb = one[walSumArgs, walSumRow]{
	verb: verb{name: "wal_sum", role: access.Reader, long: true, help: "the SHA-256, in hex, of a timeline's WAL in [FROM, TO)"},
	do: func(ctx context.Context, c *call, a walSumArgs) (walSumRow, error) {
		sum, err := c.svc.WALSum(ctx, a.Tenant, a.Timeline, a.From, a.To)
		return walSumRow{sum}, err
	},
}

// WALSum is api.Service's.
func (c *Client) WALSum(ctx context.Context, tenant, timeline string, from, to pg.LSN) (string, error) {
	r, err := walSumVerb.call(ctx, c, nil, walSumArgs{tenant, timeline, from, to})
	return r.Sum, err
}

// wakeAtEnd has a cancel request end the wait for the client. The function that it returns
// ends that.
func (c *call) wakeAtEnd(ctx context.Context) (end func()) {
	stop := context.AfterFunc(ctx, c.wake)
	return func() {
		if !stop() && c.srv.ctx.Err() == nil {
			c.raw.SetReadDeadline(time.Time{})
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
