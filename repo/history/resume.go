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

// Running gives what is known of the transactions that have not ended.
func (t *Tracker) Running() []byte {
	b := binary.AppendUvarint([]byte{runningVersion}, uint64(t.since))
	b = binary.AppendUvarint(b, uint64(len(t.fresh)))
	for _, rel := range t.fresh {
		b = appendRel(b, rel)
	}
	var k Chunk // for its numbers of relations
	var body []byte
	for _, xid := range slices.Sorted(maps.Keys(t.open)) {
		of := t.open[xid]
		body = binary.AppendUvarint(body, uint64(xid))
		body = binary.AppendUvarint(body, of.bytes)
		body = k.appendChanges(body, of.changes)
	}
	b = binary.AppendUvarint(b, uint64(k.relCount))
	b = append(b, k.rels...)
	b = binary.AppendUvarint(b, uint64(len(t.open)))
	return append(b, body...)
}

// Resume makes a Tracker for the WAL behind the place at which Running gave running.
func Resume(running []byte) (*Tracker, error) {
	in := reader{b: running}
	if v := in.byte(); v != runningVersion && !in.bad {
		return nil, fmt.Errorf("%w: of running transactions: %w %d", ErrCorrupt, errVersion, v)
	}
	t := NewTracker(pg.TransactionID(in.uint()))
	t.fresh = in.rels()
	rels := in.rels()
	for range in.count(3) {
		xid := pg.TransactionID(in.uint())
		t.open[xid] = &tally{bytes: in.uint(), changes: in.changes(rels)}
	}
	if in.bad || len(in.b) > 0 {
		return nil, fmt.Errorf("%w: running transactions of %d bytes, %d are left", ErrCorrupt, len(running), len(in.b))
	}
	return t, nil
}
