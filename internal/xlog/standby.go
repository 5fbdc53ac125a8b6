package xlog

import "zenith/internal/pg"

// The operations of RM_STANDBY (storage/standbydefs.h).
const (
	StandbyLock          = 0x00
	StandbyRunningXacts  = 0x10
	StandbyInvalidations = 0x20
)

// RunningXacts is xl_running_xacts.
type RunningXacts struct {
	SubXIDOverflow  bool
	NextXID         pg.TransactionID
	OldestRunning   pg.TransactionID
	LatestCompleted pg.TransactionID
	XIDs, SubXIDs   XIDs
}

// ParseRunningXacts reads the body of a RUNNING_XACTS record.
func ParseRunningXacts(rec *Record) (RunningXacts, error) {
	f := fields{in: rec.MainData}
	nxid, nsub := f.i32(), f.i32()
	x := RunningXacts{SubXIDOverflow: f.flag()}
	f.skip(3)
	x.NextXID, x.OldestRunning, x.LatestCompleted = f.xid(), f.xid(), f.xid()
	x.XIDs = f.xids(f.room(nxid, sizeofXID))
	x.SubXIDs = f.xids(f.room(nsub, sizeofXID))
	return x, f.done("xl_running_xacts")
}

// ParseStandbyLocks reads xl_standby_locks, the body of a LOCK record.
func ParseStandbyLocks(rec *Record) (HeldLocks, error) {
	f := fields{in: rec.MainData}
	return f.locks(f.count(sizeofHeldLock)), f.done("xl_standby_locks")
}

// Invalidations is xl_invalidations.
type Invalidations struct {
	DBOID, SpcOID         pg.OID
	RelcacheInitFileInval bool // the relcache's file of that database is invalid, too
	Msgs                  InvalMessages
}

// ParseInvalidations reads the body of an INVALIDATIONS record.
func ParseInvalidations(rec *Record) (Invalidations, error) {
	f := fields{in: rec.MainData}
	return f.invalidations(), f.done("xl_invalidations")
}

// invalidations reads what xl_invalidations is, and xl_heap_inplace ends with.
func (f *fields) invalidations() Invalidations {
	i := Invalidations{DBOID: f.oid(), SpcOID: f.oid(), RelcacheInitFileInval: f.flag()}
	f.skip(3)
	i.Msgs = f.msgs(f.count(sizeofInvalMessage))
	return i
}
