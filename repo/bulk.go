package repo

import (
	"context"
	"fmt"
	"os"
	"sync"

	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/repo/control"
	"zenith/repo/store"
)

// Bulk writes base images, sizes and files past memory into the store, at full speed
// if they come in key order. It is for an import, and for what is too big for a Writer,
// as a copy of a database. Its methods may be called concurrently.
type Bulk struct {
	t        *Timeline
	creating bool
	upTo     pg.LSN // nothing may be above; 0: any

	mu   sync.Mutex
	out  store.BulkWriter
	done bool
}

// Bulk starts a Bulk on an existing timeline, for changes above the head and at or
// below upTo. It flushes t first, and keeps Writers out until its end.
func (t *Timeline) Bulk(ctx context.Context, upTo pg.LSN) (*Bulk, error) {
	for {
		if err := t.Flush(ctx); err != nil {
			return nil, err
		}
		if err := t.takeTurn(ctx); err != nil {
			return nil, err
		}
		if v := t.view.Load(); v.flushed.lsn == t.LastLSN() && len(v.windows) == 1 {
			break
		}
		t.giveTurn() // a Writer was faster
	}
	row := t.flushedRow()
	row.Intent = max(row.Intent, upTo)
	err := t.storeRow(row)
	if err == nil {
		err = t.r.store.Sync()
	}
	if err != nil {
		t.giveTurn()
		return nil, err
	}
	return &Bulk{t: t, upTo: upTo, out: t.r.store.Bulk()}, nil
}

// Timeline is the timeline being filled.
func (b *Bulk) Timeline() *Timeline { return b.t }

func (b *Bulk) put(lsn pg.LSN, object, body []byte) error {
	if lsn%8 != 0 || lsn <= b.t.LastLSN() || b.upTo != 0 && lsn > b.upTo {
		return fmt.Errorf("bulk change of %s at %v: %w", b.t.info.Name, lsn, ErrInvalid)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done {
		return fmt.Errorf("bulk change after its end: %w", ErrInvalid)
	}
	return putStamped(b.out, appendVersion(object, b.t.no, lsn), body)
}

// Image stores a page. Pages of zeros that never were anything else need not be stored.
func (b *Bulk) Image(tag pg.BufferTag, lsn pg.LSN, page pg.Page) error {
	return b.put(lsn, appendPage(make([]byte, 0, pageKeySize+versionSize), tag), encodeImage(page))
}

// RelSize stores a relation's size. Call it once for a relation.
func (b *Bulk) RelSize(rf pg.RelFork, lsn pg.LSN, n pg.BlockNumber) error {
	st, err := b.relBefore(rf)
	if err != nil {
		return err
	}
	return b.put(lsn, appendRelFork(nil, kindRelSize, rf), encodeRelChunk(st, []relEvent{{lsn: lsn, n: n}}))
}

func (b *Bulk) relBefore(rf pg.RelFork) (relState, error) {
	if b.creating {
		return relState{}, nil
	}
	return lookupSize(b.t.r.store, b.t.lineage(b.t.LastLSN()).look(), rf)
}

// DBCreate stores a database.
func (b *Bulk) DBCreate(spc, db pg.OID, lsn pg.LSN) error {
	ev := dbEvent{lsn: lsn, exists: true}
	if !b.creating {
		old, err := lookupDB(b.t.r.store, nil, b.t.lineage(b.t.LastLSN()).look(), dbKey{spc, db})
		if err != nil {
			return err
		}
		ev.lastDrop = old.lastDrop
	}
	return b.put(lsn, appendDB(nil, kindDatabase, spc, db), encodeDB(ev))
}

// File stores a file; nil removes it.
func (b *Bulk) File(path string, lsn pg.LSN, content []byte) error {
	if err := checkFile(path, content); err != nil {
		return err
	}
	return putFile(path, content, func(object, body []byte) error { return b.put(lsn, object, body) })
}

// Commit stores the state, makes everything durable and publishes s.LSN and s.Prev. A
// timeline from Create exists from then on, and starts at s.LSN.
func (b *Bulk) Commit(ctx context.Context, s *control.State) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.put(s.LSN, appendState(nil), s.Encode()); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done {
		return fmt.Errorf("commit of a finished bulk: %w", ErrInvalid)
	}
	if err := b.store(s); err != nil {
		return fmt.Errorf("store history of %s: %w", b.t.info.Name, err)
	}
	b.done = true
	at := endpoint{s.LSN, s.Prev}
	b.t.dropOpen()
	b.t.mu.Lock()
	b.t.view.Store(&view{windows: []*window{newWindow(at)}, flushed: at})
	b.t.mu.Unlock()
	b.t.heads.clear()
	b.t.head.set(at)
	b.t.giveTurn()
	if b.creating {
		b.t.r.add(b.t)
		b.t.r.release(b.t.info.ID, b.t.info.Name)
	}
	return nil
}

// store makes everything durable, the rows last.
func (b *Bulk) store(s *control.State) error {
	t := b.t
	if err := b.out.Flush(); err != nil {
		return err
	}
	if err := t.r.store.Sync(); err != nil {
		return err
	}
	row := t.flushedRow()
	row.LSN, row.Prev, row.Intent = s.LSN, s.Prev, max(row.Intent, s.LSN)
	if err := t.storeRow(row); err != nil {
		return err
	}
	if b.creating {
		t.info.StartLSN, t.first = s.LSN, s.LSN
		t.wal.SetStart(s.LSN)
		if err := durable.SyncDir(t.WALDir()); err != nil {
			return err
		}
		return t.r.update(t.statusOp(statusLive))
	}
	return t.r.store.Sync()
}

// Abort drops what was written; nothing after Commit. A timeline from Create is gone.
func (b *Bulk) Abort() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done {
		return
	}
	b.done = true
	b.out.Cancel()
	t := b.t
	if b.creating {
		// Should this fail, the next Open does it.
		if err := t.r.store.Update([]store.Op{t.statusOp(statusDeleted)}); err != nil {
			t.r.log.Warn("forget unfinished timeline", "timeline", t.info.ID, "err", err)
		}
		if err := os.RemoveAll(t.dir()); err != nil {
			t.r.log.Warn("remove unfinished timeline", "timeline", t.info.ID, "err", err)
		}
		t.r.release(t.info.ID, t.info.Name)
		t.r.noteGone(t.no)
	}
	t.giveTurn()
}
