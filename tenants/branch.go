package tenants

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"zenith/fusefs"
	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/ingest"
)

// branch is a timeline and what follows its WAL into the repository.
type branch struct {
	t   *tenant
	tl  *repo.Timeline
	ing *ingest.Ingester

	slots *slots // of replication

	catching sync.Mutex    // held by who runs the ingester
	synced   chan struct{} // capacity 1: WAL was written since the last look
	plenty   chan struct{} // capacity 1: much was
	written  atomic.Uint64 // where what was written ends, at least

	mu     sync.Mutex
	writer string       // who writes it: the directory of a mount, or a receiver; "" for nobody
	send   func() error // has the kernel send the WAL that it has of the writer's; nil: none
	users  int          // mounts of any kind that show a point of it, and replication clients
}

func newBranch(t *tenant, tl *repo.Timeline) (*branch, error) {
	if err := fusefs.AdoptWAL(tl.WorkDir(), tl.WALDir()); err != nil {
		return nil, fmt.Errorf("branch %s: %w", tl.Name(), err)
	}
	ing, err := ingest.New(tl, ingest.Options{Log: t.log.With("branch", tl.Name())})
	if err != nil {
		return nil, err
	}
	slots := openSlots(t.dir, tl.ID(), t.log.With("branch", tl.Name()))
	return &branch{t: t, tl: tl, ing: ing, slots: slots, synced: make(chan struct{}, 1), plenty: make(chan struct{}, 1)}, nil
}

// catchup ingests all WAL that was written, and gives the head then: it holds every
// commit that was acknowledged before the call, also by a server that does not sync.
func (b *branch) catchup(ctx context.Context) (pg.LSN, error) {
	b.mu.Lock()
	send := b.send
	b.mu.Unlock()
	if send != nil {
		if err := send(); err != nil {
			return 0, fmt.Errorf("branch %s: %w", b.tl.Name(), err)
		}
	}
	return b.ingest(ctx)
}

// ingest ingests all WAL that is there.
func (b *branch) ingest(ctx context.Context) (pg.LSN, error) {
	b.catching.Lock()
	defer b.catching.Unlock()
	head, err := b.ing.Catchup(ctx)
	if err != nil {
		return 0, classify(fmt.Errorf("branch %s: %w", b.tl.Name(), err))
	}
	return head, nil
}

// sendBy says how to have the kernel send the WAL of the branch's writer; nil: there is no need.
func (b *branch) sendBy(send func() error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.send = send
}

// acquire takes the branch for its one writer, who is called who.
func (b *branch) acquire(who string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.writer != "" && !filepath.IsAbs(b.writer) {
		return api.Errorf(api.ErrBusy, "branch %s: is taken by %s", b.tl.Name(), b.writer)
	}
	if b.writer != "" {
		return api.Errorf(api.ErrBusy, "branch %s: already mounted for writing at %s", b.tl.Name(), b.writer)
	}
	b.writer = who
	return nil
}

func (b *branch) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writer = ""
}

func (b *branch) use(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.users += n
}

// mounted reports whether a mount shows a point of the branch, or a standby follows it.
func (b *branch) mounted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.users > 0
}

// resolve gives the record boundary and state that a point means on the branch.
func (b *branch) resolve(ctx context.Context, p api.Point) (repo.Point, error) {
	head, err := b.catchup(ctx)
	if err != nil && p.Head() {
		return repo.Point{}, err // a head that lacks acknowledged commits is no head
	}
	var at repo.Point
	switch {
	case p.Head():
		at, err = b.tl.Resolve(ctx, head)
	case p.LSN != 0:
		at, err = b.tl.Resolve(ctx, p.LSN)
	default:
		at, err = b.tl.FindTime(ctx, p.Time)
	}
	if errors.Is(err, repo.ErrOutOfRange) {
		return at, b.outOfRange(p)
	}
	return at, classify(err)
}

// pin keeps a point that is shown from being collected, and the branch from being deleted,
// until release is called.
func (b *branch) pin(lsn pg.LSN) (release func(), err error) {
	unpin, err := b.tl.Pin(lsn)
	if errors.Is(err, repo.ErrOutOfRange) {
		return nil, b.outOfRange(api.Point{LSN: lsn})
	}
	if err != nil {
		return nil, classify(err)
	}
	b.use(1)
	return func() {
		b.use(-1)
		unpin()
	}, nil
}

// outOfRange says what is kept, to someone who asked for something else.
func (b *branch) outOfRange(p api.Point) error {
	what := p.LSN.String()
	if p.LSN == 0 {
		what = p.Time.Format(time.RFC3339)
	}
	if h := b.tl.Horizon(); h != 0 && p.LSN < h {
		return api.Errorf(api.ErrOutOfRange, "branch %s: %s is below the horizon, %v: what was before is forgotten",
			b.tl.Name(), what, h)
	}
	return api.Errorf(api.ErrOutOfRange, "branch %s: %s is outside of what is kept: %v to %v",
		b.tl.Name(), what, b.tl.FirstLSN(), b.tl.LastLSN())
}

// point finds a point's branch and record boundary.
func (t *tenant) point(ctx context.Context, s string) (*branch, repo.Point, api.Point, error) {
	p, err := api.ParsePoint(s, time.Now())
	if err != nil {
		return nil, repo.Point{}, p, err
	}
	b, err := t.lookup(p.Name)
	if err != nil {
		return nil, repo.Point{}, p, err
	}
	at, err := b.resolve(ctx, p)
	return b, at, p, err
}
