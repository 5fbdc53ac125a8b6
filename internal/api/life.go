package api

import (
	"context"
	"time"

	"zenith/internal/pg"
)

// Expiry is when a branch is no longer needed: a while from when the page server reads it, a time, or, if it is the zero
// value, never.
type Expiry struct {
	After time.Duration
	At    time.Time
}

// Never is the text of an Expiry that does not come.
const Never = "never"

// ParseExpiry reads a duration (2h, 7d, 1w), a time as in a point (in now's zone if it has none) or "never".
func ParseExpiry(s string, now time.Time) (Expiry, error) {
	if s == Never {
		return Expiry{}, nil
	}
	if d, ok := ParseAge(s); ok && d > 0 {
		return Expiry{After: d}, nil
	}
	var p Point
	if ok, err := readTime(&p, s, now); err != nil || !ok {
		return Expiry{}, Errorf(ErrBadArgument, "expiry %q: want a duration (2h, 7d), a time (2026-12-01T09:00Z) or never", Clip(s))
	}
	if !p.Time.After(now) {
		return Expiry{}, Errorf(ErrBadArgument, "expiry %q: that time has passed", Clip(s))
	}
	return Expiry{At: p.Time}, nil
}

// From gives the time, for an Expiry that is read now; nil: never.
func (e Expiry) From(now time.Time) *time.Time {
	switch {
	case e.After > 0:
		return new(now.Add(e.After))
	case !e.At.IsZero():
		return &e.At
	}
	return nil
}

// String gives what ParseExpiry reads.
func (e Expiry) String() string {
	text, _ := e.MarshalText()
	return string(text)
}

// MarshalText gives what ParseExpiry reads.
func (e Expiry) MarshalText() ([]byte, error) {
	switch {
	case e.After > 0:
		return []byte(e.After.String()), nil
	case !e.At.IsZero():
		return []byte(e.At.Format(time.RFC3339Nano)), nil
	}
	return []byte(Never), nil
}

// UnmarshalText implements encoding.TextUnmarshaler by ParseExpiry; an empty text is never.
func (e *Expiry) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*e = Expiry{}
		return nil
	}
	*e, err = ParseExpiry(string(text), time.Now())
	return err
}

// BranchOptions are what a new branch is given besides its name and point.
type BranchOptions struct {
	Expires Expiry
	Owner   string
	Note    string
}

// BranchDetail is a branch, and what takes a look at its files and at what runs on it.
type BranchDetail struct {
	Branch
	State     string     `json:"state"`         // of the postgres on it, one of the Compute constants; "": it has none
	Waits     string     `json:"waits"`         // why it is still there though it has expired; "": it has not, or it goes soon
	LastWrite *time.Time `json:"last_write_at"` // time of the last commit on the branch itself; nil: there is none
	OwnBytes  int64      `json:"own_bytes"`     // its own WAL and pages, about
	Shared    int64      `json:"shared_bytes"`  // those of its ancestors, of which it needs a part
}

// Replaced says what a branch's name stands for now, and as what the timeline is kept that had it.
type Replaced struct {
	Branch    Branch    `json:"branch"`
	From      string    `json:"from"` // name of the branch whose state it is
	At        pg.LSN    `json:"at"`   // and which one
	KeptAs    string    `json:"kept_as"`
	KeptUntil time.Time `json:"kept_until"`
	Restarted bool      `json:"restarted"` // its postgres was stopped, and runs again on the new state
}

// Tag is a name for a point, whose history is kept as long as the tag is there.
type Tag struct {
	Name       string     `json:"name"`
	Branch     string     `json:"branch"` // the name that its timeline has now
	TimelineID string     `json:"timeline_id"`
	LSN        pg.LSN     `json:"lsn"`
	Time       *time.Time `json:"time"` // of the last commit before; nil: not known
	Created    time.Time  `json:"created_at"`
}

// Usage is the room that a branch takes on disk.
type Usage struct {
	Branch     string     `json:"branch"`
	TimelineID string     `json:"timeline_id"`
	Deleted    bool       `json:"deleted"` // it was deleted, and is kept for a while
	PageBytes  int64      `json:"page_bytes"`
	WALBytes   int64      `json:"wal_bytes"`
	GivesBack  int64      `json:"gives_back_bytes"` // what there would be once it is deleted and forgotten; 0 while it is needed
	FirstLSN   pg.LSN     `json:"first_lsn"`        // from here on every state can be had
	FirstTime  *time.Time `json:"first_time"`       // of the last commit before; nil: not known
}

// LifeService is about what becomes of branches.
type LifeService interface {
	// BranchDetails is BranchList with what is worth a closer look.
	BranchDetails(ctx context.Context, tenant string) ([]BranchDetail, error)
	// BranchExpire says when a branch is no longer needed. ErrNotAllowed: it is protected.
	BranchExpire(ctx context.Context, tenant, name string, when Expiry) (Branch, error)
	// BranchProtect has a branch neither deleted nor renamed nor reset, or ends that.
	BranchProtect(ctx context.Context, tenant, name string, on bool) error
	// BranchRename gives a branch another name. ErrBusy: a postgres runs on it.
	BranchRename(ctx context.Context, tenant, name, to string) error
	// BranchReset has a branch's name stand for a point, of any branch: "" is the head of the one it began on. What it
	// stood for is kept for a while. A postgres on it is stopped, and started again on the new state. ErrBusy:
	// clients are connected to that, and force is not set; ErrNotAllowed: the branch is protected.
	BranchReset(ctx context.Context, tenant, name, point string, force bool) (Replaced, error)
	// BranchRestore is BranchReset to a point of the branch's own past, and is done for protected branches, too.
	BranchRestore(ctx context.Context, tenant, name, point string, force bool) (Replaced, error)
	// BranchPromote has another branch's name stand for this one: over, or if that is "" the one it began on. What
	// had that name is kept for a while; the branch's own name is free then.
	BranchPromote(ctx context.Context, tenant, name, over string, force bool) (Replaced, error)
	// TagCreate names a point.
	TagCreate(ctx context.Context, tenant, name, point string) (Tag, error)
	// TagList gives the tags, sorted by name.
	TagList(ctx context.Context, tenant string) ([]Tag, error)
	// TagDelete removes a tag. The point is kept only as long as other points are, from then on.
	TagDelete(ctx context.Context, tenant, name string) error
	// DiskUsage gives the room that each branch takes.
	DiskUsage(ctx context.Context, tenant string) ([]Usage, error)
}
