package history

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"zenith/internal/pg"
)

// What a Tracker knows of transactions that have not ended, as bytes, for another Tracker to go on at that
// place of the WAL:
//
//	| 1: version | since | n | n times spc, db, rel: fresh |
//	| m | m times spc, db, rel: the relations of changes |
//	| k | k times: xid, bytes, changes as in a chunk |
const runningVersion = 1

// What Running gives has a bound: a value of the store has one, and it is made at the end of each batch. One transaction
// may have millions of subtransactions.
const (
	maxRunning      = 50_000  // transactions
	maxRunningBytes = 4 << 20 // bytes
)

// Running gives what is known of the transactions that have not ended. Where that is too much it says only that they have
// begun: for a Tracker that goes on from there their commits are Partial.
func (t *Tracker) Running() []byte {
	if len(t.open) <= maxRunning {
		if b := encodeRunning(t.since, t.fresh, t.open); len(b) <= maxRunningBytes {
			return b
		}
	}
	since := t.since
	for xid := range t.open {
		if !xid.Precedes(since) {
			since = max(xid+1, pg.FirstNormalTransactionID) // xid 0 is none, where they wrap around
		}
	}
	return encodeRunning(since, t.fresh, nil)
}

func encodeRunning(since pg.TransactionID, fresh []pg.RelFileLocator, open map[pg.TransactionID]*tally) []byte {
	b := binary.AppendUvarint([]byte{runningVersion}, uint64(since))
	b = binary.AppendUvarint(b, uint64(len(fresh)))
	for _, rel := range fresh {
		b = appendRel(b, rel)
	}
	var k Chunk // for its numbers of relations
	var body []byte
	for _, xid := range slices.Sorted(maps.Keys(open)) {
		of := open[xid]
		body = binary.AppendUvarint(body, uint64(xid))
		body = binary.AppendUvarint(body, of.bytes)
		body = k.appendChanges(body, of.changes)
	}
	b = binary.AppendUvarint(b, uint64(k.relCount))
	b = append(b, k.rels...)
	b = binary.AppendUvarint(b, uint64(len(open)))
	return append(b, body...)
}

// Resume makes a Tracker for the WAL behind the place at which Running gave running.
func Resume(running []byte) (*Tracker, error) {
	in := newReader(running)
	if v := in.Byte(); v != runningVersion && !in.Bad {
		return nil, fmt.Errorf("%w: of running transactions: %w %d", ErrCorrupt, errVersion, v)
	}
	t := NewTracker(pg.TransactionID(in.Uint()))
	t.fresh = in.rels()
	rels := in.rels()
	for range in.Count(3) {
		xid := pg.TransactionID(in.Uint())
		t.open[xid] = &tally{bytes: in.Uint(), changes: in.changes(rels)}
	}
	if in.Bad || len(in.Rest) > 0 {
		return nil, fmt.Errorf("%w: running transactions of %d bytes, %d are left", ErrCorrupt, len(running), len(in.Rest))
	}
	return t, nil
}
