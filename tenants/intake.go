package tenants

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"zenith/internal/api"
	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/receiver"
)

// PushOffer says what this page server has of a timeline that another one wants to send. ErrNotAllowed: it
// does not take the timeline.
func (m *Manager) PushOffer(ctx context.Context, tenant string, o api.Offer) (held api.Held, err error) {
	id, err := repo.ParseTimelineID(o.TimelineID)
	if err != nil {
		return held, classify(err)
	}
	version, err := offered(o)
	if err != nil {
		return held, err
	}
	t, release, err := m.tenant(ctx, tenant)
	if errors.Is(err, api.ErrNotFound) {
		return held, nil
	}
	if err != nil {
		return held, err
	}
	defer release()
	if err := t.mayTake(id, version, o); err != nil {
		return held, err
	}
	tl, err := t.repo.Timeline(id)
	if errors.Is(err, repo.ErrNotFound) {
		return held, nil
	}
	if err != nil {
		return held, classify(err)
	}
	b, err := t.branch(tl)
	if err != nil {
		return held, err
	}
	held = api.Held{There: true, Name: tl.Name(), Start: max(tl.StartLSN(), tl.FirstLSN()), Files: map[string]string{}}
	if held.Head, err = b.catchup(ctx); err != nil {
		return held, err
	}
	err = tl.OwnFiles(ctx, held.Head, held.Head+1, func(f repo.OwnFile) error {
		held.Files[ownFileKey(f)] = fileSum(f)
		return nil
	})
	return held, classify(err)
}

// offered is the PostgreSQL whose history an offered timeline is. It is an error if that is not supported, or if its
// timelines cannot be.
func offered(o api.Offer) (*pg.Version, error) {
	version, err := pg.ByStoredMajor(o.Major)
	if err != nil {
		return nil, api.Errorf(api.ErrUnsupported, "timeline %s: %v", o.TimelineID, err)
	}
	if err := o.Timelines().Check(); err != nil {
		return nil, api.Errorf(api.ErrBadArgument, "timeline %s: %v", o.TimelineID, err)
	}
	return version, nil
}

// mayTake refuses a timeline that cannot be history of this tenant's cluster, or whose name another one has.
func (t *tenant) mayTake(id repo.TimelineID, version *pg.Version, o api.Offer) error {
	for _, tl := range t.repo.Timelines() {
		info := tl.Info()
		switch {
		case info.SysID != o.SysID:
			return api.Errorf(api.ErrNotAllowed,
				"tenant %v holds another cluster: its system identifier is %d, not %d (push into a tenant of its own)", t.id, info.SysID, o.SysID)
		case tl.ID() == id && info.SegSize != o.SegSize:
			return api.Errorf(api.ErrNotAllowed, "timeline %v is there with WAL in segments of %d bytes, not %d", id, info.SegSize, o.SegSize)
		case tl.ID() == id && !o.Timelines().Extends(tl.History()) && !tl.History().Extends(o.Timelines()):
			return api.Errorf(api.ErrNotAllowed, "timeline %v is there with WAL of other timelines of PostgreSQL: %v, not %v", id, tl.History(), o.Timelines())
		case info.Version != version && (tl.ID() == id || tl.ID().String() == o.Parent):
			return api.Errorf(api.ErrNotAllowed, "timeline %v is there with WAL of %v, not %v", tl.ID(), info.Version, version)
		case tl.ID() != id && tl.Name() == o.Name:
			return api.Errorf(api.ErrNotAllowed, "the branch %s there is another one: timeline %v, not %v", o.Name, tl.ID(), id)
		}
	}
	return nil
}

// pushing stands for the writer of a branch while another page server pushes to it.
const pushing = "a push"

// syncEvery is how much WAL may come before it is made durable and ingested.
const syncEvery = 4 << 20

// intake receives the stream of one timeline, and writes it into the repository.
type intake struct {
	t       *tenant
	id      repo.TimelineID
	version *pg.Version
	o       api.Offer
	in      frameReader
	segs    *receiver.Segments
	next    pg.LSN // the LSN at which the next WAL must begin

	timelines pg.History // of the WAL that comes
}

// PushReceive receives a timeline's stream, and returns when all of it is durable and can be read.
func (m *Manager) PushReceive(ctx context.Context, tenant string, o api.Offer, r io.Reader) error {
	id, err := repo.ParseTimelineID(o.TimelineID)
	if err != nil {
		return classify(err)
	}
	version, err := offered(o)
	if err != nil {
		return err
	}
	t, release, err := m.tenantForPush(ctx, tenant)
	if err != nil {
		return err
	}
	defer release()
	if err := t.mayTake(id, version, o); err != nil {
		return err
	}
	in := &intake{t: t, id: id, version: version, o: o, timelines: o.Timelines(), in: frameReader{r: bufio.NewReaderSize(r, 256<<10)}}
	tl, err := t.repo.Timeline(id)
	if errors.Is(err, repo.ErrNotFound) {
		tl, err = in.begin(ctx)
	}
	if err != nil {
		return classify(err)
	}
	b, err := t.branch(tl)
	if err != nil {
		return err
	}
	if err := b.acquire(pushing); err != nil {
		return err
	}
	defer b.release()
	return classify(in.follow(ctx, b))
}

// tenantForPush is tenant for one that may have to be made first, without any branch.
func (m *Manager) tenantForPush(ctx context.Context, tenant string) (t *tenant, release func(), err error) {
	t, release, err = m.tenant(ctx, tenant)
	if !errors.Is(err, api.ErrNotFound) {
		return t, release, err
	}
	id, err := m.tenantID(tenant)
	if err != nil {
		return nil, nil, err
	}
	if err := m.createEmpty(id); err != nil {
		return nil, nil, err
	}
	return m.tenant(ctx, tenant)
}

// createEmpty makes a tenant without any branch. ErrBusy: somebody else is making it.
func (m *Manager) createEmpty(id repo.TenantID) error {
	if err := m.reaching().CheckReach(m.tenantDir(id)); err != nil {
		return err
	}
	building := m.tenantDir(id) + unfinished
	if err := os.Mkdir(building, 0o711); errors.Is(err, fs.ErrExist) {
		return api.Errorf(api.ErrBusy, "tenant %v: is being made", id)
	} else if err != nil {
		return err
	}
	defer os.RemoveAll(building)
	made, err := m.newTenant(id, building)
	if err != nil {
		return classify(err)
	}
	if err := made.repo.Close(); err != nil {
		return err
	}
	return durable.Rename(building, m.tenantDir(id))
}

// follow receives files and WAL for a timeline that is there, and ingests the WAL while more comes.
func (in *intake) follow(ctx context.Context, b *branch) error {
	head, err := b.catchup(ctx)
	if err != nil {
		return err
	}
	if head != in.o.From {
		return api.Errorf(api.ErrNotAllowed, "branch %s: its head is %v now, not %v: push again", b.tl.Name(), head, in.o.From)
	}
	if ours := b.tl.History(); head < in.o.To && !in.timelines.Extends(ours) {
		return api.Errorf(api.ErrNotAllowed, "branch %s: its WAL goes on on timeline %d of PostgreSQL, not on %d (push does not overwrite)",
			b.tl.Name(), ours.TLI(), in.timelines.TLI())
	}
	if err := b.tl.PrepareWAL(); err != nil {
		return err
	}
	in.segs, in.next = receiver.NewSegments(b.tl, head), head
	ingesting, stop := context.WithCancel(ctx)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		b.follow(ingesting)
	}()
	err = in.take(ctx, b)
	stop()
	<-followed
	if err = errors.Join(err, in.segs.Close()); err != nil {
		return err
	}
	if head, err = b.catchup(ctx); err != nil {
		return err
	}
	if head != in.o.To {
		return fmt.Errorf("the WAL that was sent up to %v ends at %v: %w", in.o.To, head, repo.ErrCorrupt)
	}
	return in.rename(ctx, b.tl)
}

// rename gives a timeline its name that was sent before only because others descend from it.
func (in *intake) rename(ctx context.Context, tl *repo.Timeline) error {
	if in.o.Name == "" || tl.Name() != in.id.String() {
		return nil
	}
	return in.t.repo.Rename(ctx, tl, in.o.Name)
}

// take reads files and WAL up to the end of the stream, and makes them durable.
func (in *intake) take(ctx context.Context, b *branch) error {
	synced := in.next
	for {
		f, err := in.in.next()
		if err != nil {
			return err
		}
		switch f.kind {
		case frameFile:
			err = in.ownFile(ctx, b, f)
		case frameWAL:
			err = in.wal(ctx, b, f)
		case frameEnd:
			return in.sync(b)
		default:
			err = badFrame("%q among WAL", f.kind)
		}
		if err == nil && in.next-synced >= syncEvery {
			synced = in.next
			if err = in.sync(b); err == nil {
				b.holdBack(ctx)
			}
		}
		if err != nil {
			return err
		}
	}
}

func (in *intake) ownFile(ctx context.Context, b *branch, f frame) error {
	own, err := in.in.file(f)
	if err == nil && own.LSN > in.o.To+1 {
		err = badFrame("file at %v, beyond %v", own.LSN, in.o.To)
	}
	if err != nil {
		return err
	}
	return b.tl.PutOwnFile(ctx, own)
}

func (in *intake) wal(ctx context.Context, b *branch, f frame) error {
	at, data, err := f.wal()
	if err == nil && (at != in.next || at+pg.LSN(len(data)) > in.o.To) {
		err = badFrame("%d bytes of WAL at %v, where %v up to %v was expected", len(data), at, in.next, in.o.To)
	}
	if err != nil {
		return err
	}
	for len(data) > 0 {
		if err := in.goOver(ctx, b); err != nil {
			return err
		}
		part := data
		if left, _, ok := in.timelines.Left(b.tl.History().TLI()); ok {
			part = data[:min(pg.LSN(len(data)), left-in.next)]
		}
		if err := in.segs.Write(in.next, part); err != nil {
			return err
		}
		in.next, data = in.next+pg.LSN(len(part)), data[len(part):]
	}
	return nil
}

// goOver has the branch go on to another timeline of PostgreSQL's, if the WAL that comes next is of another one than what
// came before.
func (in *intake) goOver(ctx context.Context, b *branch) error {
	for {
		left, next, ok := in.timelines.Left(b.tl.History().TLI())
		if !ok || left > in.next {
			return nil
		}
		if err := in.sync(b); err != nil {
			return err
		}
		head, err := b.catchup(ctx)
		if err != nil {
			return err
		}
		if head != left {
			return badFrame("WAL that goes on to timeline %d at %v, but is complete up to %v", next, left, head)
		}
		if err := errors.Join(in.segs.Close(), b.tl.SwitchTLI(ctx, next, left)); err != nil {
			return err
		}
		in.segs = receiver.NewSegments(b.tl, left)
	}
}

// sync makes the WAL durable that came, and wakes the follower that ingests it.
func (in *intake) sync(b *branch) error {
	upTo, err := in.segs.Sync()
	if err != nil {
		return err
	}
	b.walSynced(upTo)
	return nil
}
