package tenants

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/rmgrdesc"
	"zenith/internal/xlog"
	"zenith/repo"
)

// WALDump writes the records of a branch that start in [from, to) as pg_waldump prints them.
func (m *Manager) WALDump(ctx context.Context, tenant, name string, from, to pg.LSN, zone *time.Location, w io.Writer) error {
	b, release, err := m.lookup(ctx, tenant, name)
	if err != nil {
		return err
	}
	defer release()
	head, err := b.catchup(ctx)
	if err != nil {
		return err
	}
	if to == 0 || to > head {
		to = head
	}
	if from == 0 {
		from = b.tl.FirstLSN()
	}
	start, err := b.resolve(ctx, api.Point{LSN: from})
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	for at := start.LSN; at < to; {
		cfg, end := b.tl.WALConfigAt(at)
		r := xlog.NewReader(b.tl.WAL(), cfg, at)
		if err := dumpRecords(ctx, r, from, min(to, end), zone, out); err != nil {
			return err
		}
		if r.EndLSN() < end {
			break // to, or the end of the WAL
		}
		at = r.EndLSN()
	}
	return out.Flush()
}

// dumpRecords writes the records that start in [from, to), of those that r reads.
func dumpRecords(ctx context.Context, r *xlog.Reader, from, to pg.LSN, zone *time.Location, w *bufio.Writer) error {
	var rec xlog.Record
	for r.EndLSN() < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.Next(&rec); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return classify(err)
		}
		if rec.StartLSN < from {
			continue
		}
		if rec.StartLSN >= to {
			return nil
		}
		if _, err := w.WriteString(rmgrdesc.Line(&rec, zone) + "\n"); err != nil {
			return err
		}
	}
	return nil
}

// lookup finds a branch of a tenant, which stays open until release is called.
func (m *Manager) lookup(ctx context.Context, tenant, name string) (b *branch, release func(), err error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, nil, err
	}
	if b, err = t.lookup(name); err != nil {
		release()
		return nil, nil, err
	}
	return b, release, nil
}

// ReadPage gives a block of the relation whose file is at path in the data directory of a point. The block
// counts from the relation's first segment.
func (m *Manager) ReadPage(ctx context.Context, tenant, at, path string, block pg.BlockNumber) (pg.Page, error) {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer release()
	b, p, _, err := t.point(ctx, at)
	if err != nil {
		return nil, err
	}
	s, err := b.tl.At(ctx, p.LSN)
	if err != nil {
		return nil, classify(err)
	}
	parsed := s.Version().ParsePath(path)
	if parsed.Kind != pg.PathRelation && parsed.Kind != pg.PathSLRU {
		return nil, api.Errorf(api.ErrBadArgument, "page %s: not the path of a relation, such as base/5/16384", path)
	}
	n, exists, err := s.RelSize(ctx, parsed.Fork)
	switch {
	case err != nil:
		return nil, classify(err)
	case !exists:
		return nil, api.Errorf(api.ErrNotFound, "%s: no such relation at %v", path, p.LSN)
	case block >= n:
		return nil, api.Errorf(api.ErrNotFound, "%s: no block %d: it has %d blocks at %v", path, block, n, p.LSN)
	}
	page := make(pg.Page, pg.BlockSize)
	return page, classify(s.ReadPage(ctx, parsed.Fork.Tag(block), page))
}

// Pages opens a branch for page requests. Its tenant stays open until the source is closed.
func (m *Manager) Pages(ctx context.Context, tenant, name string) (api.PageSource, error) {
	b, release, err := m.lookup(ctx, tenant, name)
	if err != nil {
		return nil, err
	}
	return &pageSource{b: b, close: sync.OnceFunc(release)}, nil
}

// pageSource answers page requests from a branch. It keeps the last snapshot, since a client asks for many
// pages at one LSN.
type pageSource struct {
	b     *branch
	snap  *repo.Snapshot
	close func()
}

// pageWait is how long a page request waits for an LSN that has not arrived.
const pageWait = throttle

// at gives the snapshot for a request: at the head for LSN 0. An LSN that has not come yet it waits for,
// but no longer than pageWait.
func (s *pageSource) at(ctx context.Context, lsn pg.LSN) (*repo.Snapshot, error) {
	if lsn == 0 {
		head, err := s.b.catchup(ctx)
		if err != nil {
			return nil, err
		}
		lsn = head
	}
	if s.snap != nil && s.snap.LSN() == lsn {
		return s.snap, nil
	}
	wait, cancel := context.WithTimeout(ctx, pageWait)
	defer cancel()
	if err := s.b.tl.WaitLSN(wait, lsn); err != nil {
		return nil, s.b.outOfRange(api.Point{LSN: lsn})
	}
	snap, err := s.b.tl.At(ctx, lsn)
	if err != nil {
		return nil, classify(err)
	}
	s.snap = snap
	return snap, nil
}

// Size gives the number of blocks of a relation's fork, and whether it exists.
func (s *pageSource) Size(ctx context.Context, rel pg.RelFork, lsn pg.LSN) (pg.BlockNumber, bool, error) {
	snap, err := s.at(ctx, lsn)
	if err != nil {
		return 0, false, err
	}
	n, exists, err := snap.RelSize(ctx, rel)
	return n, exists, classify(err)
}

// ReadPage fills dst with a page as of an LSN; 0 is the head.
func (s *pageSource) ReadPage(ctx context.Context, tag pg.BufferTag, lsn pg.LSN, dst pg.Page) error {
	snap, err := s.at(ctx, lsn)
	if err != nil {
		return err
	}
	return classify(snap.ReadPage(ctx, tag, dst))
}

// Close gives the branch's tenant back.
func (s *pageSource) Close() error {
	s.close()
	return nil
}
