package api

import (
	"context"
	"io"

	"zenith/internal/pg"
)

// PushService sends a branch's history to another page server, and takes it from one.
type PushService interface {
	// Push sends what the page server at o.To does not have yet of a branch, its ancestors'
	// part included. ErrNotAllowed if the branch there has gone another way.
	Push(ctx context.Context, tenant, branch string, o PushOptions) (PushResult, error)
	PushReceiver
}

// PushReceiver takes history that another page server sends.
type PushReceiver interface {
	// PushOffer says what is there of a timeline. ErrNotAllowed if it cannot be taken: the
	// tenant is of another cluster, or the name another timeline's.
	PushOffer(ctx context.Context, tenant string, o Offer) (Held, error)
	// PushReceive takes the stream of o's timeline from o.From to o.To, and returns when all of
	// it is durable and can be read. The tenant is made if it is not there. What came before
	// the stream broke off stays: the next offer tells how far it is.
	PushReceive(ctx context.Context, tenant string, o Offer, r io.Reader) error
	// WALSum gives the SHA-256, in hex, of a timeline's WAL in [from, to).
	WALSum(ctx context.Context, tenant, timeline string, from, to pg.LSN) (string, error)
}

// PushOptions say where a push goes.
type PushOptions struct {
	To       string // the other page server: HOST:PORT, or a conninfo
	Tenant   string // there; "": the same id
	Progress Progress
}

// PushResult says what a push did.
type PushResult struct {
	Tenant string // there
	From   pg.LSN // the branch's head there before; 0: it was not there
	LSN    pg.LSN // and now
	Bytes  int64  // sent
}

// Offer describes a timeline to who is to receive it.
type Offer struct {
	TimelineID string `json:"timeline_id"`
	Name       string `json:"name,omitempty"` // "": there for its descendants only
	SysID      uint64 `json:"sysid,string"`
	TLI        pg.TLI `json:"tli"`
	SegSize    int    `json:"seg_size"`
	Parent     string `json:"parent,omitempty"` // "": it comes without an ancestor
	Start      pg.LSN `json:"start,string"`     // where its own history begins
	From       pg.LSN `json:"from,string"`      // the stream's; Start if the receiver has nothing
	To         pg.LSN `json:"to,string"`        // a record boundary
}

// Held is what a receiver has of an offered timeline.
type Held struct {
	There bool              `json:"there"`
	Name  string            `json:"name,omitempty"` // its id, if nobody has named it there
	Start pg.LSN            `json:"start,string"`
	Head  pg.LSN            `json:"head,string"`
	Files map[string]string `json:"files,omitempty"` // stored at the head: "path@LSN" -> SHA-256 in hex
}
