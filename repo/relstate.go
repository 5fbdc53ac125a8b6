package repo

import (
	"encoding/binary"
	"fmt"
	"slices"

	"zenith/internal/pg"
	"zenith/internal/varint"
)

// relState is a relation fork's size as of some LSN.
type relState struct {
	exists bool
	n      pg.BlockNumber
	lsn    pg.LSN // of the last change; 0 if there was none
	// cuts are the cuts that still matter, oldest first, with n ascending: a version of a block is
	// dead if it is not above the last cut with n <= block. The slice is never changed in place.
	cuts []relCut
}

// relCut is a cut: the fork had n blocks after it.
type relCut struct {
	lsn pg.LSN
	n   pg.BlockNumber
}

// relEvent is a change of size to n blocks, or a drop.
type relEvent struct {
	lsn     pg.LSN
	n       pg.BlockNumber
	dropped bool
}

// apply gives the state after ev.
func (s relState) apply(ev relEvent) relState {
	if cut, ok := s.cutBy(ev); ok {
		s = s.cutAt(cut)
	}
	return s.resize(ev)
}

// cutBy gives the cut that ev is, if it removes blocks.
func (s relState) cutBy(ev relEvent) (relCut, bool) {
	to := s.resize(ev).n
	return relCut{ev.lsn, to}, s.exists && to < s.n
}

// resize is apply without a change of cuts.
func (s relState) resize(ev relEvent) relState {
	s.exists, s.n, s.lsn = !ev.dropped, ev.n, ev.lsn
	if ev.dropped {
		s.n = 0
	}
	return s
}

// cutAt adds a cut, and drops those that it makes irrelevant.
func (s relState) cutAt(c relCut) relState {
	keep := len(s.cuts)
	for keep > 0 && s.cuts[keep-1].n >= c.n {
		keep--
	}
	s.cuts = append(slices.Clone(s.cuts[:keep]), c)
	return s
}

// dropDB gives the state after a drop of the database at lsn, if the fork's last change was not above it;
// else the state as it is. An lsn of 0 means that there was no drop.
func (s relState) dropDB(lsn pg.LSN) relState {
	if s.lsn == 0 || s.lsn > lsn {
		return s
	}
	return relState{lsn: lsn, cuts: []relCut{{lsn: lsn}}}
}

// cutLSN is the LSN at and below which versions of a block are dead; 0 if none are.
func (s relState) cutLSN(blk pg.BlockNumber) pg.LSN {
	for i := len(s.cuts) - 1; i >= 0; i-- {
		if s.cuts[i].n <= blk {
			return s.cuts[i].lsn
		}
	}
	return 0
}

// relChunkEvents bounds the events in one value.
const relChunkEvents = 1024

// encodeRelChunk makes the value of events, which change the state before. The LSN of its key is the
// first event's:
//
//	exists u8 | uvarint n | uvarint lsn | uvarint #cuts | cuts: uvarint lsn, n
//	uvarint #events | events: uvarint lsn - last lsn (first: 0), uvarint n << 1 | dropped
func encodeRelChunk(before relState, events []relEvent) []byte {
	b := make([]byte, 0, 32+len(before.cuts)*8+len(events)*5)
	b = appendBool(b, before.exists)
	b = binary.AppendUvarint(b, uint64(before.n))
	b = binary.AppendUvarint(b, uint64(before.lsn))
	b = binary.AppendUvarint(b, uint64(len(before.cuts)))
	for _, c := range before.cuts {
		b = binary.AppendUvarint(b, uint64(c.lsn))
		b = binary.AppendUvarint(b, uint64(c.n))
	}
	b = binary.AppendUvarint(b, uint64(len(events)))
	last := events[0].lsn
	for _, ev := range events {
		b = binary.AppendUvarint(b, uint64(ev.lsn-last))
		v := uint64(ev.n) << 1
		if ev.dropped {
			v |= 1
		}
		b = binary.AppendUvarint(b, v)
		last = ev.lsn
	}
	return b
}

// decodeRelChunk gives the state at upTo. first is the LSN of the value's key; upTo is not below it.
func decodeRelChunk(b []byte, first, upTo pg.LSN) (relState, error) {
	var s relState
	if len(b) == 0 {
		return s, fmt.Errorf("relation sizes of no bytes: %w", ErrCorrupt)
	}
	d := varint.Reader{Rest: b[1:]}
	s.exists = b[0] != 0
	s.n, s.lsn = pg.BlockNumber(d.Uint()), pg.LSN(d.Uint())
	for range min(d.Uint(), uint64(len(d.Rest))) {
		s.cuts = append(s.cuts, relCut{pg.LSN(d.Uint()), pg.BlockNumber(d.Uint())})
	}
	lsn := first
	for range d.Uint() {
		lsn += pg.LSN(d.Uint())
		v := d.Uint()
		if d.Bad {
			return s, fmt.Errorf("relation sizes are too short: %w", ErrCorrupt)
		}
		if lsn > upTo {
			break
		}
		s = s.apply(relEvent{lsn: lsn, n: pg.BlockNumber(v >> 1), dropped: v&1 != 0})
	}
	return s, nil
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
