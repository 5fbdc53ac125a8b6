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

// Bulk writes images, sizes and files into the store without keeping them in a window: fastest if
// they come in the order of their keys. It is for an import, and for changes that are too big for a
// Writer, such as the copy of a database. Its methods may be called concurrently.
type Bulk struct {
	t        *Timeline
	creating bool   // t is being made, see Create
	upTo     pg.LSN // no change may be above; 0: any LSN will do

	mu   sync.Mutex
	out  store.BulkWriter
	done bool
}

// Bulk begins a Bulk on an existing timeline, for changes above the head and at or below upTo. It
// flushes t first. No Writer can begin before the Bulk's Commit or Abort.
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
		t.giveTurn() // a Writer took the turn between Flush and takeTurn
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
	return &Bulk{t: t, upTo: upTo, out: t.bulk()}, nil
}

// Timeline is the timeline that b writes to.
func (b *Bulk) Timeline() *Timeline { return b.t }

// put stores body as the version of object at lsn.
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

// Image stores a page as of lsn. A page that was zeros from the beginning need not be stored.
func (b *Bulk) Image(tag pg.BufferTag, lsn pg.LSN, page pg.Page) error {
	return b.put(lsn, appendPage(make([]byte, 0, pageKeySize+versionSize), tag), encodeImage(page))
}

// RelSize stores a relation's size in blocks as of lsn. It may be called once for each relation.
func (b *Bulk) RelSize(rf pg.RelFork, lsn pg.LSN, n pg.BlockNumber) error {
	st, err := b.relBefore(rf)
	if err != nil {
		return err
	}
	return b.put(lsn, appendRelFork(nil, kindRelSize, rf), encodeRelChunk(st, []relEvent{{lsn: lsn, n: n}}))
}

// relBefore gives the state of rf before the Bulk.
func (b *Bulk) relBefore(rf pg.RelFork) (relState, error) {
	if b.creating {
		return relState{}, nil
	}
	return lookupSize(b.t.r.store, b.t.lineage(b.t.LastLSN()).look(), rf)
}

// DBCreate makes a database directory as of lsn.
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

// File sets the content of a file as of lsn; nil removes it.
func (b *Bulk) File(path string, lsn pg.LSN, content []byte) error {
	if err := checkFile(path, content); err != nil {
		return err
	}
	return putFile(path, content, func(object, body []byte) error { return b.put(lsn, object, body) })
}

// Commit stores s, makes everything durable and moves the head to s.LSN and s.Prev. A timeline that
// Create made exists from then on, and begins at s.LSN.
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

// store makes everything durable. The rows that refer to it come last, so that a crash before leaves
// nothing that can be seen.
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

// Abort drops what was written, and a timeline that Create made. After Commit it does nothing.
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
		// If this fails, the next Open removes the timeline, which its row calls unfinished.
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
