package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// xactRmgr is Transaction, in access/transam/xact.c. The ends of transactions are
// written into pg_xact, the times of commits into pg_commit_ts.
var xactRmgr = rmgr{name: "Transaction", ops: ops{
	0x0: {name: "COMMIT", touches: xactEndTouches, effect: xactEnd},
	0x1: {name: "PREPARE"},
	0x2: {name: "ABORT", touches: xactEndTouches, effect: xactEnd},
	0x3: {name: "COMMIT_PREPARED", touches: xactEndTouches, effect: xactEnd},
	0x4: {name: "ABORT_PREPARED", touches: xactEndTouches, effect: xactEnd},
	0x5: {name: "ASSIGNMENT"},
	0x6: {name: "INVALIDATION"},
}}

// parseXactEnd reads a commit or abort.
func parseXactEnd(rec *xlog.Record) (xlog.XactEnd, error) {
	end, err := xlog.ParseXactEnd(rec)
	if err != nil {
		return end, err
	}
	if end.XID == 0 {
		return end, corrupt("end of a transaction without an id")
	}
	return end, nil
}

// xactEndTouches lists the pages with the states of the transaction and its
// subtransactions, and those with the times of a commit. Subtransactions come in the
// order of their ids, behind the transaction's.
func xactEndTouches(rec *xlog.Record, fn func(tag pg.BufferTag)) error {
	end, err := parseXactEnd(rec)
	if err != nil {
		return err
	}
	eachPage(&end, pg.SLRUXact, pg.XactsPerPage, fn)
	if end.Committed() {
		eachPage(&end, pg.SLRUCommitTs, pg.CommitTsPerPage, fn)
	}
	return nil
}

func eachPage(end *xlog.XactEnd, slru pg.SLRU, perPage uint32, fn func(tag pg.BufferTag)) {
	last := uint32(end.XID) / perPage
	fn(slru.Page(last))
	for xid := range end.SubXIDs.All() {
		if pageno := uint32(xid) / perPage; pageno != last {
			fn(slru.Page(pageno))
			last = pageno
		}
	}
}

// xactEnd is TransactionIdCommitTree, TransactionIdAbortTree or
// TransactionTreeSetCommitTsData, for one page of theirs.
func xactEnd(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error {
	end, err := parseXactEnd(rec)
	if err != nil {
		return err
	}
	slru, pageno, _ := tag.SLRU()
	m := xactMark{status: byte(pg.XidAborted), time: end.Time, origin: rec.Origin}
	if end.Committed() {
		m.status = byte(pg.XidCommitted)
	}
	if end.Info&xlog.XactHasOrigin != 0 {
		m.time = end.OriginTime
	}
	perPage, set := uint32(pg.XactsPerPage), xactMark.setStatus
	switch {
	case slru == pg.SLRUCommitTs && end.Committed():
		perPage, set = pg.CommitTsPerPage, xactMark.setCommitTs
	case slru != pg.SLRUXact:
		return errUntouched
	}
	done := false
	if uint32(end.XID)/perPage == pageno {
		set(m, page, end.XID)
		done = true
	}
	for xid := range end.SubXIDs.All() {
		if uint32(xid)/perPage == pageno {
			set(m, page, xid)
			done = true
		}
	}
	if !done {
		return errUntouched
	}
	return nil
}

// xactMark is what the end of a transaction writes for it and its subtransactions.
type xactMark struct {
	status byte
	time   pg.TimestampTz
	origin uint16
}

// setStatus is TransactionIdSetStatusBit. Subtransactions get their parent's state at
// once; the state SUB_COMMITTED in between would be over before the record ends.
func (m xactMark) setStatus(page pg.Page, xid pg.TransactionID) {
	in := uint32(xid) % pg.XactsPerPage
	at, shift := in/4, in%4*2
	page[at] = page[at]&^(3<<shift) | m.status<<shift
}

// setCommitTs is TransactionIdSetCommitTs: the time at the origin, if it has one, and
// the origin.
func (m xactMark) setCommitTs(page pg.Page, xid pg.TransactionID) {
	entry := page[uint32(xid)%pg.CommitTsPerPage*pg.CommitTsSize:][:pg.CommitTsSize]
	binary.LittleEndian.PutUint64(entry, uint64(m.time))
	binary.LittleEndian.PutUint16(entry[8:], m.origin)
}
