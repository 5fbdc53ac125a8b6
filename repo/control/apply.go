package control

import (
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// effect takes from a record what stock recovery takes from it.
type effect func(*State, *xlog.Record) error

// effects are those records that change more of a State than its LSNs and the next xid, by
// resource manager and operation (xlog.Record.Op() >> 4).
type effects [xlog.RmMax + 1][16]effect

// versions are the effects of each major version.
var versions = pg.PerVersion[*effects]{
	14: &effects15, 15: &effects15, 16: &effects15, 17: &effects15, 18: &effects15, 19: effects19,
}

// effects19 are those of PostgreSQL 19, which logs when logical decoding becomes possible.
var effects19 = func() *effects {
	e := effects15
	e[xlog.RmXLOG][xlog.XLOGLogicalDecoding>>4] = (*State).applyLogicalDecoding
	return &e
}()

var effects15 = effects{
	xlog.RmXLOG: {
		xlog.XLOGCheckpointShutdown >> 4: (*State).applyShutdownCheckpoint,
		xlog.XLOGCheckpointOnline >> 4:   (*State).applyOnlineCheckpoint,
		xlog.XLOGNextOID >> 4:            (*State).applyNextOID,
		xlog.XLOGFPWChange >> 4:          (*State).applyFPWChange,
		xlog.XLOGParameterChange >> 4:    (*State).applyParameterChange,
		xlog.XLOGEndOfRecovery >> 4:      (*State).applyEndOfRecovery,
	},
	xlog.RmXact: {
		xlog.XactCommit >> 4:         (*State).applyXactEnd,
		xlog.XactAbort >> 4:          (*State).applyXactEnd,
		xlog.XactCommitPrepared >> 4: (*State).applyXactEnd,
		xlog.XactAbortPrepared >> 4:  (*State).applyXactEnd,
		xlog.XactPrepare >> 4:        (*State).applyPrepare,
	},
	xlog.RmCLOG: {
		xlog.CLOGTruncate >> 4: (*State).applyCLOGTruncate,
	},
	xlog.RmMultiXact: {
		xlog.MultiXactCreateID >> 4:   (*State).applyMultiXactCreate,
		xlog.MultiXactTruncateID >> 4: (*State).applyMultiXactTruncate,
	},
	xlog.RmCommitTs: {
		xlog.CommitTsTruncate >> 4: (*State).applyCommitTsTruncate,
	},
	xlog.RmReplOrigin: {
		xlog.ReplOriginSet >> 4:  (*State).applyReplOriginSet,
		xlog.ReplOriginDrop >> 4: (*State).applyReplOriginDrop,
	},
}

// Apply brings s from before rec to after it. An error is an ErrCorrupt of package pg, and leaves s
// half changed: it must not be used any more.
func (s *State) Apply(rec *xlog.Record) error {
	s.LSN, s.Prev, s.Shutdown = rec.EndLSN, rec.StartLSN, false
	s.passXID(rec.XID)
	if rec.RmgrID > xlog.RmMax {
		return nil
	}
	apply := versions.Of(rec.V)[rec.RmgrID][rec.Op()>>4]
	if apply == nil {
		return nil
	}
	if err := apply(s, rec); err != nil {
		return fmt.Errorf("record at %v: %w", rec.StartLSN, err)
	}
	return nil
}

// passXID makes NextXID follow xid.
func (s *State) passXID(xid pg.TransactionID) {
	s.CheckPoint.NextXID = s.CheckPoint.NextXID.AdvancePast(xid)
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

func (s *State) applyNextOID(rec *xlog.Record) (err error) {
	s.CheckPoint.NextOID, err = xlog.ParseNextOID(rec)
	return err
}

func (s *State) applyLogicalDecoding(rec *xlog.Record) (err error) {
	s.CheckPoint.LogicalDecoding, err = xlog.ParseLogicalDecoding(rec)
	return err
}

func (s *State) applyFPWChange(rec *xlog.Record) (err error) {
	s.CheckPoint.FullPageWrites, err = xlog.ParseFPWChange(rec)
	return err
}

func (s *State) applyEndOfRecovery(rec *xlog.Record) error {
	e, err := xlog.ParseEndOfRecovery(rec)
	s.CheckPoint.ThisTLI, s.CheckPoint.PrevTLI = e.ThisTLI, e.PrevTLI
	return err
}

func (s *State) applyPrepare(rec *xlog.Record) error {
	p, err := xlog.ParsePrepare(rec)
	s.passXIDs(p.XID, p.SubXIDs)
	return err
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

func (s *State) applyCLOGTruncate(rec *xlog.Record) error {
	t, err := xlog.ParseCLOGTruncate(rec)
	if err == nil && s.CheckPoint.OldestXID.Precedes(t.OldestXID) {
		s.CheckPoint.OldestXID, s.CheckPoint.OldestXIDDB = t.OldestXID, t.OldestDB
	}
	return err
}

func (s *State) applyMultiXactCreate(rec *xlog.Record) error {
	c, err := xlog.ParseMultiXactCreate(rec)
	s.passMulti(rec.V, c.ID+1, rec.V.AddMultiOffset(c.Offset, uint32(c.Members.Len())))
	for i := range c.Members.Len() {
		s.passXID(c.Members.At(i).XID)
	}
	return err
}

func (s *State) applyMultiXactTruncate(rec *xlog.Record) error {
	t, err := xlog.ParseMultiXactTruncate(rec)
	s.CheckPoint.OldestMulti, s.CheckPoint.OldestMultiDB = t.EndID, t.OldestDB
	return err
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

func (s *State) applyCommitTsTruncate(rec *xlog.Record) error {
	t, err := xlog.ParseCommitTsTruncate(rec)
	my := &s.CheckPoint
	if err == nil && my.OldestCommitTsXID != 0 && my.OldestCommitTsXID.Precedes(t.OldestXID) {
		my.OldestCommitTsXID = t.OldestXID
	}
	return err
}

func (s *State) applyReplOriginSet(rec *xlog.Record) error {
	set, err := xlog.ParseReplOriginSet(rec)
	if err == nil {
		s.advanceOrigin(set.Node, set.RemoteLSN, set.Force)
	}
	return err
}

func (s *State) applyReplOriginDrop(rec *xlog.Record) error {
	node, err := xlog.ParseReplOriginDrop(rec)
	delete(s.Origins, node)
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
