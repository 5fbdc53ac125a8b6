package control

import (
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// stateEffects apply the records of the resource managers that change more of a State than its LSNs
// and the next xid. Each takes from a record what stock recovery takes from it.
var stateEffects = [xlog.RmMax + 1]func(*State, *xlog.Record) error{
	xlog.RmXLOG:       (*State).applyXLOG,
	xlog.RmXact:       (*State).applyXact,
	xlog.RmCLOG:       (*State).applyCLOG,
	xlog.RmMultiXact:  (*State).applyMultiXact,
	xlog.RmCommitTs:   (*State).applyCommitTs,
	xlog.RmReplOrigin: (*State).applyReplOrigin,
}

var xlogEffects = map[uint8]func(*State, *xlog.Record) error{
	xlog.XLOGCheckpointShutdown: (*State).applyShutdownCheckpoint,
	xlog.XLOGCheckpointOnline:   (*State).applyOnlineCheckpoint,
	xlog.XLOGNextOID: func(s *State, rec *xlog.Record) (err error) {
		s.CheckPoint.NextOID, err = xlog.ParseNextOID(rec)
		return err
	},
	xlog.XLOGFPWChange: func(s *State, rec *xlog.Record) (err error) {
		s.CheckPoint.FullPageWrites, err = xlog.ParseFPWChange(rec)
		return err
	},
	xlog.XLOGParameterChange: (*State).applyParameterChange,
	xlog.XLOGEndOfRecovery: func(s *State, rec *xlog.Record) error {
		e, err := xlog.ParseEndOfRecovery(rec)
		s.CheckPoint.ThisTLI, s.CheckPoint.PrevTLI = e.ThisTLI, e.PrevTLI
		return err
	},
}

// Apply brings s from before rec to after it. An error is an ErrCorrupt of package pg, and leaves s
// half changed: it must not be used any more.
func (s *State) Apply(rec *xlog.Record) error {
	s.LSN, s.Prev, s.Shutdown = rec.EndLSN, rec.StartLSN, false
	s.passXID(rec.XID)
	if rec.RmgrID > xlog.RmMax || stateEffects[rec.RmgrID] == nil {
		return nil
	}
	if err := stateEffects[rec.RmgrID](s, rec); err != nil {
		return fmt.Errorf("record at %v: %w: %w", rec.StartLSN, pg.ErrCorrupt, err)
	}
	return nil
}

// passXID makes NextXID follow xid: AdvanceNextFullTransactionIdPastXid.
func (s *State) passXID(xid pg.TransactionID) {
	next := pg.TransactionID(s.CheckPoint.NextXID)
	if xid < pg.FirstNormalTransactionID || xid.Precedes(next) {
		return
	}
	epoch := s.CheckPoint.NextXID >> 32
	if xid++; xid < pg.FirstNormalTransactionID {
		xid = pg.FirstNormalTransactionID
	}
	if xid < next {
		epoch++
	}
	s.CheckPoint.NextXID = epoch<<32 | pg.FullTransactionID(xid)
}

func (s *State) applyXLOG(rec *xlog.Record) error {
	if fn := xlogEffects[rec.Op()]; fn != nil {
		return fn(s, rec)
	}
	return nil
}

// applyShutdownCheckpoint takes all counters as they are: nothing ran when the record was written.
func (s *State) applyShutdownCheckpoint(rec *xlog.Record) error {
	cp, err := xlog.ParseCheckPoint(rec)
	s.CheckPoint, s.LastCheckpoint = cp, rec.StartLSN
	s.Shutdown = cp.Redo == rec.StartLSN
	return err
}

// applyOnlineCheckpoint takes counters as lower bounds: they are from the beginning of the
// checkpoint, and records written since may have moved them on. The next OID is not taken at all,
// since the NEXTOID records that were seen are newer.
func (s *State) applyOnlineCheckpoint(rec *xlog.Record) error {
	cp, err := xlog.ParseCheckPoint(rec)
	if err != nil {
		return err
	}
	my := &s.CheckPoint
	s.LastCheckpoint = rec.StartLSN
	my.Redo, my.Time, my.FullPageWrites, my.OldestActiveXID = cp.Redo, cp.Time, cp.FullPageWrites, cp.OldestActiveXID
	my.NextXID = max(my.NextXID, cp.NextXID)
	s.passMulti(rec.V, cp.NextMulti, cp.NextMultiOffset)
	if precedesMulti(my.OldestMulti, cp.OldestMulti) {
		my.OldestMulti, my.OldestMultiDB = cp.OldestMulti, cp.OldestMultiDB
	}
	if my.OldestXID.Precedes(cp.OldestXID) {
		my.OldestXID, my.OldestXIDDB = cp.OldestXID, cp.OldestXIDDB
	}
	s.passCommitTs(cp.OldestCommitTsXID, cp.NewestCommitTsXID)
	return nil
}

// passCommitTs is SetCommitTsLimit, but never moves the newest xid back.
func (s *State) passCommitTs(oldest, newest pg.TransactionID) {
	my := &s.CheckPoint
	if my.OldestCommitTsXID == 0 {
		my.OldestCommitTsXID, my.NewestCommitTsXID = oldest, newest
		return
	}
	if my.OldestCommitTsXID.Precedes(oldest) {
		my.OldestCommitTsXID = oldest
	}
	if my.NewestCommitTsXID.Precedes(newest) {
		my.NewestCommitTsXID = newest
	}
}

// applyParameterChange takes the settings over, and switches commit timestamps on or off as
// CommitTsParameterChange does.
func (s *State) applyParameterChange(rec *xlog.Record) error {
	set, err := xlog.ParseParameterChange(rec)
	if err != nil {
		return err
	}
	my := &s.CheckPoint
	switch {
	case !set.TrackCommitTimestamp:
		my.OldestCommitTsXID, my.NewestCommitTsXID = 0, 0
	case my.OldestCommitTsXID == 0:
		my.OldestCommitTsXID = pg.TransactionID(my.NextXID)
		my.NewestCommitTsXID = my.OldestCommitTsXID
	}
	s.Settings = set
	return nil
}

func (s *State) applyXact(rec *xlog.Record) error {
	switch rec.Op() {
	case xlog.XactPrepare:
		p, err := xlog.ParsePrepare(rec)
		s.passXIDs(p.XID, p.SubXIDs)
		return err
	case xlog.XactCommit, xlog.XactCommitPrepared, xlog.XactAbort, xlog.XactAbortPrepared:
		return s.applyXactEnd(rec)
	}
	return nil
}

func (s *State) passXIDs(xid pg.TransactionID, subs xlog.XIDs) {
	s.passXID(xid)
	for x := range subs.All() {
		s.passXID(x)
	}
}

func (s *State) applyXactEnd(rec *xlog.Record) error {
	e, err := xlog.ParseXactEnd(rec)
	if err != nil {
		return err
	}
	s.passXIDs(e.XID, e.SubXIDs)
	if e.Info&xlog.XactHasOrigin != 0 {
		s.advanceOrigin(rec.Origin, e.OriginLSN, false)
	}
	if !e.Committed() {
		return nil
	}
	s.LastCommit, s.LastCommitLSN = e.Time, rec.EndLSN
	s.MaxCommit = max(s.MaxCommit, e.Time)
	if s.Settings.TrackCommitTimestamp {
		newest := e.XID
		if n := e.SubXIDs.Len(); n > 0 {
			newest = e.SubXIDs.At(n - 1)
		}
		if s.CheckPoint.NewestCommitTsXID.Precedes(newest) {
			s.CheckPoint.NewestCommitTsXID = newest
		}
	}
	return nil
}

func (s *State) applyCLOG(rec *xlog.Record) error {
	if rec.Op() != xlog.CLOGTruncate {
		return nil
	}
	t, err := xlog.ParseCLOGTruncate(rec)
	if err == nil && s.CheckPoint.OldestXID.Precedes(t.OldestXID) {
		s.CheckPoint.OldestXID, s.CheckPoint.OldestXIDDB = t.OldestXID, t.OldestDB
	}
	return err
}

func (s *State) applyMultiXact(rec *xlog.Record) error {
	switch rec.Op() {
	case xlog.MultiXactCreateID:
		c, err := xlog.ParseMultiXactCreate(rec)
		s.passMulti(rec.V, c.ID+1, rec.V.AddMultiOffset(c.Offset, uint32(c.Members.Len())))
		for i := range c.Members.Len() {
			s.passXID(c.Members.At(i).XID)
		}
		return err
	case xlog.MultiXactTruncateID:
		t, err := xlog.ParseMultiXactTruncate(rec)
		s.CheckPoint.OldestMulti, s.CheckPoint.OldestMultiDB = t.EndID, t.OldestDB
		return err
	}
	return nil
}

// passMulti is MultiXactAdvanceNextMXact.
func (s *State) passMulti(v *pg.Version, next pg.MultiXactID, offset pg.MultiXactOffset) {
	my := &s.CheckPoint
	if precedesMulti(my.NextMulti, next) {
		my.NextMulti = next
	}
	if v.MultiOffsetPrecedes(my.NextMultiOffset, offset) {
		my.NextMultiOffset = offset
	}
}

// precedesMulti is MultiXactIdPrecedes.
func precedesMulti(a, b pg.MultiXactID) bool { return int32(a-b) < 0 }

func (s *State) applyCommitTs(rec *xlog.Record) error {
	if rec.Op() != xlog.CommitTsTruncate {
		return nil
	}
	t, err := xlog.ParseCommitTsTruncate(rec)
	my := &s.CheckPoint
	if err == nil && my.OldestCommitTsXID != 0 && my.OldestCommitTsXID.Precedes(t.OldestXID) {
		my.OldestCommitTsXID = t.OldestXID
	}
	return err
}

func (s *State) applyReplOrigin(rec *xlog.Record) error {
	if rec.Op() == xlog.ReplOriginDrop {
		node, err := xlog.ParseReplOriginDrop(rec)
		delete(s.Origins, node)
		return err
	}
	set, err := xlog.ParseReplOriginSet(rec)
	if err == nil {
		s.advanceOrigin(set.Node, set.RemoteLSN, set.Force)
	}
	return err
}

// doNotReplicate is DoNotReplicateId: an origin that is not tracked.
const doNotReplicate = 0xFFFF

// advanceOrigin is replorigin_advance as replay calls it.
func (s *State) advanceOrigin(node uint16, remote pg.LSN, back bool) {
	if node == 0 || node == doNotReplicate {
		return
	}
	if back || s.Origins[node] < remote {
		s.setOrigin(node, remote)
	}
}
