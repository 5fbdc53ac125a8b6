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
	"zenith/repo/receiver"
)

// branch is a timeline and what follows its WAL into the repository.
type branch struct {
	t   *tenant
	tl  *repo.Timeline
	ing *ingest.Ingester

	slots *slots // of replication

	catching sync.Mutex    // held by the goroutine that runs the ingester
	synced   chan struct{} // capacity 1: WAL was written since the last look
	plenty   chan struct{} // capacity 1: a gulp of WAL waits for ingest
	written  atomic.Uint64 // end of the WAL that was written; there may be more

	ingestErr atomic.Pointer[error] // of the last time that WAL was ingested; nil: it was not yet

	mu      sync.Mutex
	writer  string       // name of the writer: the directory of a mount, or a receiver; "" if there is none
	follows followed     // nil: no server is followed
	send    func() error // has the kernel send what it caches of the writer's WAL; nil: it caches none
	users   int          // mounts of any kind that show a point of it, and replication clients
}

func newBranch(t *tenant, tl *repo.Timeline) (*branch, error) {
	if err := t.takeWAL(tl); err != nil {
		return nil, fmt.Errorf("branch %s: %w", tl.Name(), err)
	}
	ing, err := ingest.New(tl, ingest.Options{Log: t.log.With("branch", tl.Name())})
	if err != nil {
		return nil, err
	}
	slots := openSlots(t.dir, tl.ID(), t.log.With("branch", tl.Name()))
	return &branch{t: t, tl: tl, ing: ing, slots: slots, synced: make(chan struct{}, 1), plenty: make(chan struct{}, 1)}, nil
}

// takeWAL takes over what a killed server has left behind, and keeps what the next one needs.
func (t *tenant) takeWAL(tl *repo.Timeline) error {
	if err := fusefs.AdoptWAL(tl.WorkDir(), tl.WALDir(), t.m.options()); err != nil {
		return err
	}
	return holdNeeded(tl)
}

// holdNeeded keeps the WAL of a timeline on which no server runs for the slots and the archiving of
// the next one.
func holdNeeded(tl *repo.Timeline) error {
	needed, err := fusefs.NeededWAL(tl.WorkDir(), tl.Info().SegSize)
	if err != nil {
		return err
	}
	tl.HoldWAL(needed)
	return nil
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
	b.ingestErr.Store(&err)
	if err != nil {
		return 0, classify(fmt.Errorf("branch %s: %w", b.tl.Name(), err))
	}
	return head, nil
}

// ingestError says in one line why the branch's WAL could not be ingested the last time; "": it could. A caller that gave
// up is no reason.
func (b *branch) ingestError() string {
	err := b.ingestErr.Load()
	if err == nil || *err == nil || errors.Is(*err, context.Canceled) || errors.Is(*err, context.DeadlineExceeded) {
		return ""
	}
	return oneLine(*err)
}

// sendBy sets the function that has the kernel send what it caches of the writer's WAL; nil: it caches none.
func (b *branch) sendBy(send func() error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.send = send
}

// acquire makes who the branch's one writer. ErrBusy: it has one; the error names it.
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
	now := time.Now()
	known := now
	if !p.Time.IsZero() {
		known = b.known(ctx, p.Time, now)
	}
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
		if err := b.checkArrived(ctx, p, known, now); err != nil {
			return at, err
		}
		at, err = b.tl.FindTime(ctx, p.Time)
	}
	if errors.Is(err, repo.ErrOutOfRange) {
		return at, b.outOfRange(p)
	}
	return at, classify(err)
}

// checkArrived refuses a time of which the branch does not know the state: what will have been
// committed then is not known before, and where a receiver fills the branch, not before it has
// come here. A commit that is here has come, whatever its server's clock and ours say.
// known is what known gave before the WAL was ingested.
func (b *branch) checkArrived(ctx context.Context, p api.Point, known, now time.Time) error {
	if !p.Time.After(now) && !p.Time.After(known) {
		return nil
	}
	head, err := b.tl.Resolve(ctx, b.tl.LastLSN())
	if err != nil {
		return classify(err)
	}
	last := head.State.KnownSince()
	if !p.Time.After(last) || head.State.CommittedAfter(p.Time) {
		return nil
	}
	why := "that time has not come"
	if !p.Time.After(now) {
		why = "that time has not arrived here yet"
	}
	in := func(t time.Time) string { return t.In(p.Time.Location()).Format(time.RFC3339) }
	if !known.Equal(now) && known.After(last) {
		why += "; its server was last heard of at " + in(known)
	}
	return api.Errorf(api.ErrOutOfRange, "%s: %s; the last commit here is of %s; now is %s", p, why, in(last), in(now))
}

// followed is the server that a branch follows.
type followed interface {
	// Ask has the server say how far it is, and waits for the answer, but not long.
	Ask(ctx context.Context)
	// Status says how far the receiver is.
	Status() receiver.Status
}

// notHeardOf is a server that nobody is connected to.
type notHeardOf struct{}

func (notHeardOf) Ask(context.Context)     {}
func (notHeardOf) Status() receiver.Status { return receiver.Status{} }

// followedBy says which server the branch follows; nil: none.
func (b *branch) followedBy(f followed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.follows = f
}

// known gives the time up to which commits are here, once the WAL is ingested that was received:
// now, but for a branch that follows a server. It asks that server if it must, for a time that
// is not after now.
func (b *branch) known(ctx context.Context, when, now time.Time) time.Time {
	b.mu.Lock()
	f := b.follows
	b.mu.Unlock()
	if f == nil {
		return now
	}
	if s := f.Status(); s.Known.Before(when) && !when.After(now) {
		f.Ask(ctx)
	}
	return f.Status().Known
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

// outOfRange makes the error for a point outside the history that is kept: it says what is kept.
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

// hasBranch reports whether a branch is called s, however much that looks like a time or an LSN:
// an old one may be.
func (t *tenant) hasBranch(s string) bool {
	_, err := t.repo.ByName(s)
	return err == nil
}

// splitPoint is api.SplitPoint, for a tenant whose branches may have any name.
func (t *tenant) splitPoint(s string) (name, at string, found bool) {
	if t.hasBranch(s) {
		return s, "", false
	}
	return api.SplitPoint(s)
}

// fullPoint is api.FullPoint, for a tenant whose branches may have any name, and that has tags.
func (t *tenant) fullPoint(s string) string {
	if t.hasBranch(s) {
		return s
	}
	if branch, tag, ok := t.tagged(s); ok {
		return branch + "@" + tag.Name
	}
	return api.FullPoint(s)
}

// point finds a point's branch and record boundary.
func (t *tenant) point(ctx context.Context, s string) (*branch, repo.Point, api.Point, error) {
	p := api.Point{Name: s}
	if branch, tag, ok := t.tagged(s); ok {
		p = api.Point{Name: branch, LSN: tag.LSN}
	} else if !t.hasBranch(s) {
		var err error
		if p, err = api.ParsePoint(s, time.Now()); err != nil {
			return nil, repo.Point{}, p, err
		}
	}
	b, err := t.lookup(p.Name)
	if err != nil {
		return nil, repo.Point{}, p, err
	}
	at, err := b.resolve(ctx, p)
	return b, at, p, err
}
