package tenants

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
)

// Peer is another page server, which takes history.
type Peer interface {
	api.PushReceiver
	io.Closer
	Addr() string // HOST:PORT, for messages
}

// pusher sends timelines of a tenant to another page server.
type pusher struct {
	t      *tenant
	far    Peer
	tenant string // its id on the other page server
	tell   api.Progress
	sent   int64 // bytes of the streams that are done
}

// Push sends what another page server does not have of a branch.
func (m *Manager) Push(ctx context.Context, tenant, name string, o api.PushOptions) (res api.PushResult, err error) {
	b, release, err := m.lookup(ctx, tenant, name)
	if err != nil {
		return res, err
	}
	defer release()
	t := b.t
	head, err := b.catchup(ctx)
	if err != nil {
		return res, err
	}
	res.Tenant = o.Tenant
	if res.Tenant == "" {
		res.Tenant = t.id.String()
	}
	if _, err := m.tenantID(res.Tenant); err != nil {
		return res, err
	}
	if m.cfg.Dial == nil {
		return res, api.Errorf(api.ErrUnsupported, "push %s: this page server cannot connect to others", name)
	}
	far, err := m.dialPeer(ctx, o.To)
	if err != nil {
		return res, err
	}
	defer far.Close()
	b.use(1)
	defer b.use(-1)
	defer b.tl.Hold()()
	p := &pusher{t: t, far: far, tenant: res.Tenant, tell: o.Progress}
	held, err := p.timeline(ctx, b.tl, head, b.tl.Name())
	if err != nil {
		return res, classify(fmt.Errorf("push %s: %w", name, err))
	}
	res.LSN, res.Bytes = head, p.sent
	if held.There {
		res.From = &held.Head
	}
	return res, nil
}

// timeline sends what the other page server lacks of a timeline up to an LSN, the ancestors first, and
// gives what it had of it before. name is the branch's; it is empty for an ancestor that is sent for
// its descendants only.
func (p *pusher) timeline(ctx context.Context, tl *repo.Timeline, upTo pg.LSN, name string) (api.Held, error) {
	o := p.offer(tl, name, upTo)
	held, err := p.far.PushOffer(ctx, p.tenant, o)
	if err != nil {
		return held, err
	}
	s := &pushStream{tl: tl, o: o}
	switch {
	case held.There:
		if err := p.compare(ctx, tl, o, held); err != nil {
			return held, err
		}
		if held.Head >= upTo && name == "" {
			return held, nil
		}
		s.o.From = held.Head
	case o.Parent != "":
		parent, at := tl.Ancestor()
		theirs, err := p.timeline(ctx, parent, at, "")
		if err != nil {
			return held, fmt.Errorf("its ancestor %s: %w", parent.Name(), err)
		}
		if theirs.There && theirs.Start > at { // the other page server has forgotten the branch point: the branch goes without its ancestor
			s.o.Parent = ""
		}
	}
	if s.files, err = newOwnFiles(ctx, s.o, tl, held); err != nil {
		return held, err
	}
	named := name == "" || held.Name == name
	if held.There && held.Head == upTo && len(s.files) == 0 && named {
		return held, nil
	}
	return held, p.send(ctx, s, held.There)
}

// offer describes a timeline. It goes as a branch of its ancestor, unless what it needs of that
// is not kept any more.
func (p *pusher) offer(tl *repo.Timeline, name string, upTo pg.LSN) api.Offer {
	info := tl.Info()
	o := api.Offer{
		TimelineID: info.ID.String(), Name: name, Major: info.Version.Major, SysID: info.SysID, SegSize: info.SegSize,
		Start: max(tl.StartLSN(), tl.FirstLSN()), To: upTo,
	}
	history := tl.History().Until(upTo)
	o.TLI = history.TLI()
	if len(history) > 1 {
		o.History = history
	}
	if name == info.ID.String() { // the timeline has no name here either
		o.Name = ""
	}
	if parent, at := tl.Ancestor(); parent != nil && tl.FirstLSN() <= at && parent.FirstLSN() <= at {
		o.Parent = parent.ID().String()
	}
	o.From = o.Start
	return o
}

// compared is how much of the WAL before the last common LSN must be the same.
const compared = 1 << 20

// compare makes sure that the timeline on the other page server is a part of this one's, up to where it is sent:
// what was written there on its own must not be overwritten.
func (p *pusher) compare(ctx context.Context, tl *repo.Timeline, o api.Offer, held api.Held) error {
	if held.Head > o.To && o.Name != "" {
		return api.Errorf(api.ErrNotAllowed,
			"%s has WAL of it up to %v, which is not here: it ends at %v (written to on its own there; push does not overwrite)", p.far.Addr(), held.Head, o.To)
	}
	common := min(held.Head, o.To)
	if common < o.Start {
		return api.Errorf(api.ErrOutOfRange,
			"%s has it up to %v, and what follows is not kept here any more: it begins at %v", p.far.Addr(), held.Head, o.Start)
	}
	from := max(held.Start, o.Start)
	if common-min(common, from) > compared {
		from = common - compared
	}
	if from >= common {
		return nil
	}
	theirs, err := p.far.WALSum(ctx, p.tenant, o.TimelineID, from, common)
	if err != nil {
		return err
	}
	ours, err := walSum(ctx, tl, from, common)
	if err == nil && ours != theirs {
		err = api.Errorf(api.ErrNotAllowed,
			"its WAL before %v is not the one that %s has: they have gone different ways (push does not overwrite)", common, p.far.Addr())
	}
	return err
}

// newOwnFiles gives the files that do not follow from WAL, such as configuration, and that the other page
// server does not have yet.
func newOwnFiles(ctx context.Context, o api.Offer, tl *repo.Timeline, held api.Held) (files []repo.OwnFile, err error) {
	upTo := o.To
	if o.To == tl.LastLSN() || o.Name != "" {
		upTo++ // also what was stored at o.To itself, where no WAL follows yet
	}
	err = tl.OwnFiles(ctx, o.From, upTo, func(f repo.OwnFile) error {
		if held.Files[ownFileKey(f)] != fileSum(f) && (f.LSN != o.Start || o.Parent != "") {
			files = append(files, f)
		}
		return nil
	})
	return files, err
}

// ownFileKey names a version of a file.
func ownFileKey(f repo.OwnFile) string { return f.Path + "@" + f.LSN.PathString() }

func fileSum(f repo.OwnFile) string {
	if f.Content == nil {
		return "removed"
	}
	sum := sha256.Sum256(f.Content)
	return hex.EncodeToString(sum[:])
}

// send sends a stream, and waits until the other page server has made all of it durable.
func (p *pusher) send(ctx context.Context, s *pushStream, there bool) error {
	read, write := io.Pipe()
	s.w = frameWriter{w: bufio.NewWriterSize(write, 256<<10)}
	s.tell = func(done, total int64) { p.tell("push "+s.tl.Name(), done, total) }
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	made := make(chan error, 1)
	go func() {
		err := s.run(ctx, there)
		write.CloseWithError(err)
		made <- err
	}()
	err := p.far.PushReceive(ctx, p.tenant, s.o, read)
	read.CloseWithError(errPushEnded)
	cancel()
	ownErr := <-made
	p.sent += s.w.sent
	if ownErr != nil && !errors.Is(ownErr, errPushEnded) && !errors.Is(ownErr, context.Canceled) {
		return ownErr // the other page server's error only follows from it
	}
	return err
}

// WALSum gives the SHA-256 of a timeline's WAL in [from, to).
func (m *Manager) WALSum(ctx context.Context, tenant, timeline string, from, to pg.LSN) (string, error) {
	b, release, err := m.lookup(ctx, tenant, timeline)
	if err != nil {
		return "", err
	}
	defer release()
	if from > to || to > b.tl.LastLSN() {
		return "", b.outOfRange(api.Point{LSN: max(from, to)})
	}
	sum, err := walSum(ctx, b.tl, from, to)
	return sum, classify(err)
}

func walSum(ctx context.Context, tl *repo.Timeline, from, to pg.LSN) (string, error) {
	h := sha256.New()
	err := eachWAL(ctx, tl, from, to, func(_ pg.LSN, b []byte) error {
		_, err := h.Write(b)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// eachWAL calls fn with a timeline's WAL in [from, to), piece by piece.
func eachWAL(ctx context.Context, tl *repo.Timeline, from, to pg.LSN, fn func(at pg.LSN, b []byte) error) error {
	buf := make([]byte, walAtOnce)
	for at := from; at < to; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := tl.WAL().ReadWAL(buf[:min(to-at, pg.LSN(len(buf)))], at)
		if n == 0 && (err == nil || errors.Is(err, io.EOF)) {
			err = repo.ErrCorrupt
		}
		if n == 0 {
			return fmt.Errorf("read wal of %s at %v: %w", tl.Name(), at, err)
		}
		if err := fn(at, buf[:n]); err != nil {
			return err
		}
		at += pg.LSN(n)
	}
	return nil
}

// errPushEnded is what the writer of a stream gets when nobody reads it any more.
var errPushEnded = errors.New("the push has ended")
