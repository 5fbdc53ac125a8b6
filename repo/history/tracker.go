package history

import (
	"slices"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Tracker follows the records of one timeline, in order, and sums up what each transaction does. The zero
// value is not ready: see NewTracker.
type Tracker struct {
	since pg.TransactionID // transactions before it began before the tracker did
	open  map[pg.TransactionID]*tally

	lastXID pg.TransactionID // the transaction of the record before, and its tally: most come in runs
	last    *tally
	free    []*tally // used up

	// fresh are relations whose main fork was made by a transaction that had no id yet. The row of pg_class
	// that names the storage tells whose they are.
	fresh []pg.RelFileLocator

	commit Commit // Add's result
}

// maxFresh bounds Tracker.fresh: what a transaction made that aborted before it had an id stays there.
const maxFresh = 1024

// maxSubXIDs is how many subtransactions a Commit names: more would be more than a value of the store can have.
const maxSubXIDs = 1 << 20

// maxFree is how many tallies are kept to be used again.
const maxFree = 1024

// NewTracker makes a Tracker for the WAL behind a point at which next is the id of the next transaction.
func NewTracker(next pg.TransactionID) *Tracker {
	return &Tracker{since: next, open: make(map[pg.TransactionID]*tally)}
}

// Add takes in a record. If it ends a transaction that wrote something, the result is what that did; it
// and what it points to are valid until the next call.
func (t *Tracker) Add(rec *xlog.Record) (*Commit, error) {
	switch {
	case rec.RmgrID == xlog.RmXact && rec.Op() <= xlog.XactAbortPrepared && rec.Op() != xlog.XactPrepare:
		return t.end(rec)
	case rec.RmgrID == xlog.RmStandby && rec.Op() == xlog.StandbyRunningXacts:
		return nil, t.running(rec)
	case rec.XID == 0:
		return nil, t.nobody(rec)
	}
	of := t.tally(rec.XID)
	of.bytes += uint64(len(rec.Raw))
	if rec.RmgrID > xlog.RmMax || counters[rec.RmgrID] == nil {
		return nil, nil
	}
	return nil, counters[rec.RmgrID](t, of, rec)
}

// tally gives a transaction's tally, a new one if it has none yet.
func (t *Tracker) tally(xid pg.TransactionID) *tally {
	if t.last != nil && t.lastXID == xid {
		return t.last
	}
	of := t.open[xid]
	if of == nil {
		if n := len(t.free); n > 0 {
			of, t.free = t.free[n-1], t.free[:n-1]
		} else {
			of = &tally{}
		}
		t.open[xid] = of
	}
	t.lastXID, t.last = xid, of
	return of
}

// forget drops a transaction's tally.
func (t *Tracker) forget(xid pg.TransactionID, of *tally) {
	delete(t.open, xid)
	if len(t.free) < maxFree {
		of.reset()
		t.free = append(t.free, of)
	}
	if t.lastXID == xid {
		t.last = nil
	}
}

// end takes in a COMMIT or an ABORT, of a prepared transaction or not.
func (t *Tracker) end(rec *xlog.Record) (*Commit, error) {
	e, err := xlog.ParseXactEnd(rec)
	if err != nil {
		return nil, err
	}
	wrote := t.open[e.XID] != nil
	of := t.tally(e.XID)
	defer func() { t.forget(e.XID, of) }()
	of.bytes += uint64(len(rec.Raw))
	subs := t.commit.SubXIDs[:0]
	for xid := range e.SubXIDs.All() {
		if len(subs) < maxSubXIDs {
			subs = append(subs, xid)
		}
		if sub := t.open[xid]; sub != nil {
			wrote = true
			of.merge(sub)
			t.forget(xid, sub)
		}
	}
	for rel := range e.Rels.All() {
		of.of(rel).What |= Dropped
	}
	if !e.Committed() && !wrote {
		return nil, nil
	}
	t.commit = Commit{
		LSN: rec.EndLSN, Time: e.Time, XID: e.XID, SubXIDs: subs, Aborted: !e.Committed(), Prepared: e.Prepared(),
		Partial: e.XID.Precedes(t.since), Bytes: of.bytes, Changes: of.changes,
	}
	return &t.commit, nil
}

// running drops what transactions did that are not running any more, without having ended: their server
// crashed.
func (t *Tracker) running(rec *xlog.Record) error {
	x, err := xlog.ParseRunningXacts(rec)
	if err != nil {
		return err
	}
	for xid, of := range t.open {
		if xid.Precedes(x.OldestRunning) {
			t.forget(xid, of)
		}
	}
	return nil
}

// nobody takes in a record of no transaction. A relation may be made by one that has no id yet.
func (t *Tracker) nobody(rec *xlog.Record) error {
	if rec.RmgrID != xlog.RmSmgr || rec.Op() != xlog.SmgrCreate {
		return nil
	}
	rf, err := xlog.ParseSmgrCreate(rec)
	if err != nil || rf.Fork != pg.MainFork {
		return err
	}
	if len(t.fresh) == maxFresh {
		t.fresh = slices.Delete(t.fresh, 0, maxFresh/2)
	}
	t.fresh = append(t.fresh, rf.RelFileLocator)
	return nil
}
