package ingest

import (
	"context"
	"errors"
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
)

// copyBlocks is how many blocks are copied at a time.
const copyBlocks = 64

// copyDatabase is XLOG_DBASE_CREATE_FILE_COPY: everything in a database's directory, as
// of just before the record, is in another one after it. The copy may be bigger than
// memory, so it goes past the window right into the store, a batch of its own.
func copyDatabase(ctx context.Context, in *Ingester) error {
	c, err := xlog.ParseDbaseCreate(&in.rec)
	if err != nil {
		return err
	}
	after := in.state.Clone()
	if err := after.Apply(&in.rec); err != nil {
		return err
	}
	snap, err := in.tl.At(ctx, in.state.LSN)
	if err != nil {
		return err
	}
	b, err := in.tl.Bulk(ctx, in.rec.EndLSN)
	if err != nil {
		return err
	}
	defer b.Abort()
	cp := copier{snap: snap, bulk: b, lsn: in.rec.EndLSN, version: in.rec.V, from: database{c.SrcSpcOID, c.SrcDBOID}, to: database{c.SpcOID, c.DBOID}}
	if err := cp.run(ctx); err != nil {
		return fmt.Errorf("copy %s to %s: %w", in.rec.V.DatabasePath(cp.from.spc, cp.from.db), in.rec.V.DatabasePath(cp.to.spc, cp.to.db), err)
	}
	if err := in.syncWAL(in.state.LSN, after.LSN); err != nil {
		return err
	}
	if err := in.tl.NoteForeign(cp.notes); err != nil {
		return err
	}
	if err := b.Commit(ctx, after); err != nil {
		return err
	}
	for _, n := range cp.notes {
		in.refused[n.Tag] = true
	}
	in.state, in.stated = after, after.LSN
	in.dbs[cp.to] = true
	return nil
}

// copier copies one database's directory within a timeline.
type copier struct {
	snap     *repo.Snapshot
	bulk     *repo.Bulk
	lsn      pg.LSN
	version  *pg.Version
	from, to database
	notes    []repo.ForeignNote // on the pages of the copy that cannot be rebuilt
}

func (c *copier) run(ctx context.Context) error {
	// Replay would remove what is in the target. A server that made sure that nothing
	// is there, as all do, leaves an empty directory at most.
	err := c.snap.Relations(ctx, c.to.spc, c.to.db, func(rf pg.RelFork, _ pg.BlockNumber) error {
		return fmt.Errorf("%v is there already: %w", rf, xlog.ErrCorrupt)
	})
	if err != nil {
		return err
	}
	if err := c.bulk.DBCreate(c.to.spc, c.to.db, c.lsn); err != nil {
		return err
	}
	if err := c.files(ctx); err != nil {
		return err
	}
	return c.snap.Relations(ctx, c.from.spc, c.from.db, func(rf pg.RelFork, n pg.BlockNumber) error {
		if err := c.fork(ctx, rf, n); err != nil {
			return fmt.Errorf("%v: %w", rf, err)
		}
		return nil
	})
}

// files copies what is not a relation.
func (c *copier) files(ctx context.Context) error {
	for _, path := range []func(*pg.Version, database) string{versionPath, relMapPath} {
		content, err := c.snap.ReadFile(ctx, path(c.version, c.from))
		if errors.Is(err, repo.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := c.bulk.File(path(c.version, c.to), c.lsn, content); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) fork(ctx context.Context, rf pg.RelFork, n pg.BlockNumber) error {
	to := rf
	to.SpcOID, to.DBOID = c.to.spc, c.to.db
	if err := c.bulk.RelSize(to, c.lsn, n); err != nil {
		return err
	}
	buf := make([]byte, min(n, copyBlocks)*pg.BlockSize)
	for at := pg.BlockNumber(0); at < n; at += copyBlocks {
		k := min(n-at, copyBlocks)
		err := c.snap.ReadPages(ctx, rf.Tag(at), int(k), buf[:k*pg.BlockSize])
		if errors.Is(err, repo.ErrUnsupported) {
			if err := c.eachPage(ctx, rf.Tag(at), int(k), to); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		for i := range k {
			page := pg.Page(buf[i*pg.BlockSize : (i+1)*pg.BlockSize])
			if isZero(page) {
				continue
			}
			if err := c.bulk.Image(to.Tag(at+i), c.lsn, page); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachPage copies n blocks one by one, because redo refuses one of them.
func (c *copier) eachPage(ctx context.Context, from pg.BufferTag, n int, to pg.RelFork) error {
	page := make(pg.Page, pg.BlockSize)
	for ; n > 0; n-- {
		err := c.snap.ReadPage(ctx, from, page)
		switch {
		case errors.Is(err, repo.ErrUnsupported):
			err = c.bulk.Refused(to.Tag(from.Block), c.lsn, c.snap, from)
			c.notes = append(c.notes, repo.ForeignNote{Tag: to.Tag(from.Block), LSN: c.lsn, Kind: repo.ForeignRefused})
		case err == nil && !isZero(page):
			err = c.bulk.Image(to.Tag(from.Block), c.lsn, page)
		}
		if err != nil {
			return err
		}
		from.Block++
	}
	return nil
}

// zeroPage is what a block that was never written holds.
var zeroPage [pg.BlockSize]byte

func isZero(page pg.Page) bool { return string(page) == string(zeroPage[:]) }
