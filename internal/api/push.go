package api

import (
	"context"
	"encoding/json"
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
	Tenant string  `json:"tenant"`   // the tenant's id on the other page server
	From   *pg.LSN `json:"from_lsn"` // the branch's head there before; nil: it was not there
	LSN    pg.LSN  `json:"lsn"`      // up to where it has it now
	Bytes  int64   `json:"bytes"`    // that were sent
}

// Offer describes a timeline to the page server that is to receive it.
type Offer struct {
	TimelineID string `json:"timeline_id"`
	Name       string `json:"name,omitempty"`  // "": there for its descendants only
	Major      int    `json:"major,omitempty"` // of PostgreSQL; 0 from page servers that know 15 only
	SysID      uint64 `json:"sysid,string"`
	TLI        pg.TLI `json:"tli"` // PostgreSQL's timeline at To
	// History has the ones before it, too; empty if it is the only one.
	History pg.History `json:"history,omitempty"`
	SegSize int        `json:"seg_size"`
	Parent  string     `json:"parent,omitempty"` // "": it comes without an ancestor
	Start   pg.LSN     `json:"start"`            // where its own history begins
	From    pg.LSN     `json:"from"`             // the stream's; Start if the receiver has nothing
	To      pg.LSN     `json:"to"`               // a record boundary
}

// Timelines says on which of PostgreSQL's timelines the offered WAL is.
func (o *Offer) Timelines() pg.History {
	if len(o.History) == 0 {
		return pg.OnTLI(o.TLI)
	}
	return o.History
}

// Held is what a receiver has of an offered timeline.
type Held struct {
	There bool              `json:"there"`
	Name  string            `json:"name,omitempty"` // its id, if nobody has named it there
	Start pg.LSN            `json:"start"`
	Head  pg.LSN            `json:"head"`
	Files map[string]string `json:"files,omitempty"` // stored at the head: "path@LSN" -> SHA-256 in hex
}

// decimalLSN is an LSN as offers and their answers have it in JSON: a decimal number in a
// string. Page servers of different builds push to each other, so this form stays.
type decimalLSN pg.LSN

type (
	offerFields Offer
	offerJSON   struct {
		*offerFields
		Start decimalLSN `json:"start,string"`
		From  decimalLSN `json:"from,string"`
		To    decimalLSN `json:"to,string"`
	}
	heldFields Held
	heldJSON   struct {
		*heldFields
		Start decimalLSN `json:"start,string"`
		Head  decimalLSN `json:"head,string"`
	}
)

// MarshalJSON implements json.Marshaler.
func (o Offer) MarshalJSON() ([]byte, error) {
	f := offerFields(o)
	return json.Marshal(offerJSON{&f, decimalLSN(o.Start), decimalLSN(o.From), decimalLSN(o.To)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *Offer) UnmarshalJSON(b []byte) error {
	j := offerJSON{offerFields: (*offerFields)(o)}
	err := json.Unmarshal(b, &j)
	o.Start, o.From, o.To = pg.LSN(j.Start), pg.LSN(j.From), pg.LSN(j.To)
	return err
}

// MarshalJSON implements json.Marshaler.
func (h Held) MarshalJSON() ([]byte, error) {
	f := heldFields(h)
	return json.Marshal(heldJSON{&f, decimalLSN(h.Start), decimalLSN(h.Head)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *Held) UnmarshalJSON(b []byte) error {
	j := heldJSON{heldFields: (*heldFields)(h)}
	err := json.Unmarshal(b, &j)
	h.Start, h.Head = pg.LSN(j.Start), pg.LSN(j.Head)
	return err
}
