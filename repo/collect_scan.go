package repo

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// group is the versions of one object that one timeline has. A collection meets them newest first.
type group struct {
	object []byte
	no     timelineNo
	p      *plan    // nil: history of the timeline is not to be forgotten
	dead   bool     // the timeline is gone
	points []pg.LSN // the points that see none of the versions met so far; ascending
	leave  bool     // the versions that are still to come stay
}

// serve removes and returns the points at or above lsn: the version at lsn is the newest that they
// can see, so they need it.
func (g *group) serve(lsn pg.LSN) []pg.LSN {
	i, _ := slices.BinarySearch(g.points, lsn)
	needed := g.points[i:]
	g.points = g.points[:i]
	return needed
}

// isOldest reports whether the version that the points in needed need may be deleted if it says that
// the object does not exist: all points see it, and there is no ancestor with an older version that
// would be seen in its place.
func (g *group) isOldest(needed []pg.LSN) bool {
	return len(g.points) == 0 && g.p.t.parent == nil && needed[len(needed)-1] >= g.p.horizon
}

// collector decides about one version at or below the horizon, which is at lsn and which it is on.
// needed are the points that need the version, at least one.
type collector func(c *collection, g *group, lsn pg.LSN, needed []pg.LSN, it store.Iterator) error

// collectors decide about the versions of each kind, in this order: the size of a fork tells which
// of its pages are dead, so it must not be deleted before the pages are.
var collectors = [...]struct {
	kind kind
	fn   collector
}{
	{kindPage, (*collection).pageVersion},
	{kindForeign, (*collection).foreignVersion},
	{kindRelSize, (*collection).sizeVersion},
	{kindDatabase, (*collection).keep},
	{kindFile, (*collection).fileVersion},
	{kindState, (*collection).keep},
	{kindCommits, (*collection).keep},
	{kindRunning, (*collection).keep},
}

// versions deletes the versions that are not needed any more.
func (c *collection) versions(ctx context.Context) error {
	for _, k := range collectors {
		err := c.scan(ctx, k.kind, k.fn)
		if err == nil {
			err = c.flush(ctx)
		}
		c.closeCursor(&err)
		if err != nil {
			return fmt.Errorf("forget versions of %ss: %w", kindNames[k.kind], err)
		}
		// The deletions must be durable before the next kind: after a crash a page without the size
		// that says that it is dead would be alive again.
		if err := c.r.store.Sync(); err != nil {
			return err
		}
	}
	c.clearTails()
	for _, key := range c.last {
		c.batch.delete(key)
	}
	if err := c.flush(ctx); err != nil {
		return err
	}
	return c.r.store.Sync()
}

// clearTails has the timelines' flushes forget their tails if sizes of dropped forks are about to be
// deleted. Such a size says that the fork's pages are dead up to the drop. When it is gone, a tail from
// before the drop would be taken for the page's history by the first flush that finds the fork again: its
// chunk would count records that were deleted, and the page could not be read. A tail that a flush
// remembers from now on is above the horizon, and thereby above these drops.
func (c *collection) clearTails() {
	if c.done.Dropped == 0 {
		return
	}
	for _, p := range c.plans {
		p.t.tails.clear()
	}
}

// A batch ends when it has one of these.
const (
	batchPut     = 8 << 20 // bytes of new values
	batchDeletes = 20_000  // keys that are deleted
	batchScan    = 100_000 // entries that were looked at
)

// scan goes through all versions of a kind, batch by batch.
func (c *collection) scan(ctx context.Context, k kind, fn collector) error {
	g := group{}
	next := []byte{byte(k)}
	for next != nil {
		began := time.Now()
		var err error
		if next, err = c.scanSome(k, next, &g, fn); err == nil {
			err = c.flush(ctx)
		}
		if err == nil && c.o.Rest != nil {
			err = c.o.Rest(ctx, time.Since(began))
		}
		if c.o.Tell != nil {
			c.o.Tell("forget history", c.looked, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scanSome goes through the versions of a kind from the key from on until a batch is full. It gives
// the key to go on from; nil if there are no more.
func (c *collection) scanSome(k kind, from []byte, g *group, fn collector) (next []byte, err error) {
	it := c.r.store.Iterator([]byte{byte(k)})
	defer closeIterator(it, &err)
	n := 0
	for it.Seek(from); it.Valid(); it.Next() {
		object, no, lsn, ok := splitVersion(it.Key())
		if !ok {
			return nil, fmt.Errorf("key %x: %w", it.Key(), ErrCorrupt)
		}
		if no != g.no || !bytes.Equal(object, g.object) {
			c.begin(g, k, object, no)
		}
		switch {
		case g.dead:
			c.delete(g, it)
		case g.p != nil && lsn <= g.p.horizon:
			if err := c.decide(g, lsn, it, fn); err != nil {
				return nil, err
			}
		}
		c.scanned++
		c.looked += int64(len(it.Key()))
		if n++; n == batchScan || c.batch.full() {
			return append(bytes.Clone(it.Key()), 0), nil
		}
	}
	return nil, nil
}

// decide deletes a version that no point needs, and has fn decide about one that some do.
func (c *collection) decide(g *group, lsn pg.LSN, it store.Iterator, fn collector) error {
	needed := g.serve(lsn)
	switch {
	case g.leave:
		return c.leave(g, lsn, it)
	case len(needed) == 0:
		c.delete(g, it)
		return nil
	}
	return fn(c, g, lsn, needed, it)
}

// begin makes g the versions that a timeline has of an object.
func (c *collection) begin(g *group, k kind, object []byte, no timelineNo) {
	_, dead := c.dead[no]
	*g = group{object: append(g.object[:0], object...), no: no, p: c.plans[no], dead: dead}
	if g.p == nil {
		return
	}
	g.points = g.p.points
	if k == kindFile {
		g.points = filePoints(g.points)
	}
	if rf, ok := parseRelFork(object); ok && k == kindPage && rf != c.rf {
		c.rf = rf
		c.done.Relations++
	}
}

// filePoints gives points, each but the last, the horizon, followed by the LSN at which PutFile would
// have stored a file when the point was the head: a branch that begins at a point has that file too.
func filePoints(points []pg.LSN) []pg.LSN {
	n := len(points) - 1
	list := make([]pg.LSN, 0, 2*n+1)
	for _, at := range points[:n] {
		list = append(list, at, putFileLSN(at))
	}
	return append(list, points[n])
}

// delete adds the deletion of a version of g, which it is on, to the batch.
func (c *collection) delete(g *group, it store.Iterator) {
	c.batch.delete(bytes.Clone(it.Key()))
	c.freed[g.no] += it.Size()
	c.done.Deleted++
}

// keep leaves a version as it is.
func (c *collection) keep(*group, pg.LSN, []pg.LSN, store.Iterator) error { return nil }

// fileVersion keeps a version of a file, unless it says that the file is absent and nothing older
// would be seen in its place.
func (c *collection) fileVersion(g *group, lsn pg.LSN, needed []pg.LSN, it store.Iterator) error {
	if !g.isOldest(needed) {
		return nil
	}
	body, err := unstamped(it)
	if err != nil {
		return nil // a damaged version stays as it is
	}
	if f, err := decodeFile(body, lsn, noParts); err == nil && f.content == nil {
		c.last = append(c.last, bytes.Clone(it.Key()))
	}
	return nil
}

// foreignVersion keeps a note on a page, unless the page does not exist at any of the points.
func (c *collection) foreignVersion(g *group, _ pg.LSN, needed []pg.LSN, it store.Iterator) error {
	tag, ok := parseForeign(g.object)
	if !ok || !g.isOldest(needed) {
		return nil
	}
	for _, at := range needed {
		if st, err := g.p.rel(at, tag.RelFork); err != nil || st.exists && tag.Block < st.n {
			return err
		}
	}
	c.delete(g, it)
	return nil
}

// sizeVersion keeps a version of a fork's size, unless it says that the fork does not exist and
// nothing older would be seen in its place. Its pages are deleted already.
func (c *collection) sizeVersion(g *group, lsn pg.LSN, needed []pg.LSN, it store.Iterator) error {
	rf, ok := parseRelFork(g.object)
	if !ok || !g.isOldest(needed) {
		return nil
	}
	body, err := unstamped(it)
	if err != nil {
		return nil // a damaged version stays as it is
	}
	if newest, err := decodeRelChunk(body, lsn, maxLSN); err != nil || newest.lsn > g.p.horizon {
		return nil
	}
	for _, at := range needed {
		if st, err := g.p.rel(at, rf); err != nil || st.exists {
			return err
		}
	}
	c.last = append(c.last, bytes.Clone(it.Key()))
	c.done.Dropped++
	return nil
}

// batch is what a collection is going to write.
type batch struct {
	puts    []store.Op // trimmed chunks
	size    int        // bytes of puts
	deletes [][]byte   // keys
}

func (b *batch) put(op store.Op) {
	b.puts = append(b.puts, op)
	b.size += len(op.Key) + len(op.Value)
}

func (b *batch) delete(key []byte) { b.deletes = append(b.deletes, key) }
func (b *batch) full() bool        { return b.size >= batchPut || len(b.deletes) >= batchDeletes }

// flush writes the batch: first the trimmed chunks, durably, then the deletions of what was below
// them.
func (c *collection) flush(ctx context.Context) (err error) {
	b := c.batch
	c.batch = batch{}
	defer c.closeCursor(&err)
	select {
	case <-c.r.closing:
		return ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(b.puts) > 0 {
		if err := c.writeAll(b.puts); err != nil {
			return err
		}
		if err := c.r.store.Sync(); err != nil {
			return err
		}
	}
	if len(b.deletes) == 0 {
		return nil
	}
	c.r.awaitReaders()
	ops := make([]store.Op, len(b.deletes))
	for i, key := range b.deletes {
		ops[i].Key = key
	}
	return c.writeAll(ops)
}

// awaitReaders waits until everybody who reads a chain has ended, and begins a new epoch: the next
// reader opens a new cursor, which sees all that was written before the call.
func (r *Repository) awaitReaders() {
	r.reading.Lock()
	defer r.reading.Unlock()
	r.epoch.Add(1)
}

// writeAll writes ops, in any order.
func (c *collection) writeAll(ops []store.Op) error {
	out := c.r.store.Bulk()
	defer out.Cancel()
	for _, op := range ops {
		var err error
		if op.Value == nil {
			err = out.Delete(op.Key)
		} else {
			err = out.Put(op.Key, op.Value)
		}
		if err != nil {
			return err
		}
	}
	return out.Flush()
}

// closeCursor closes the cursor and drops the plans' sights at the end of a batch.
func (c *collection) closeCursor(err *error) {
	if c.cursor != nil {
		c.cursor.close(err)
		c.cursor = nil
	}
	for _, p := range c.plans {
		p.newBatch()
	}
}
