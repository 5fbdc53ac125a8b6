package xlog

import (
	"fmt"

	"zenith/internal/pg"
)

// The operations of RM_XACT (access/xact.h). They are told by three bits; the fourth
// says that an xinfo word follows the time.
const (
	XactCommit         = 0x00
	XactPrepare        = 0x10
	XactAbort          = 0x20
	XactCommitPrepared = 0x30
	XactAbortPrepared  = 0x40
	XactAssignment     = 0x50
	XactInvalidations  = 0x60

	xactHasInfo = 0x80
)

// The bits of XactEnd.Info: which parts the record has.
const (
	XactHasDBInfo       = 1 << 0
	XactHasSubxacts     = 1 << 1
	XactHasRelFileNodes = 1 << 2
	XactHasInvals       = 1 << 3
	XactHasTwoPhase     = 1 << 4
	XactHasOrigin       = 1 << 5
	XactHasAELocks      = 1 << 6
	XactHasGID          = 1 << 7
	XactHasDroppedStats = 1 << 8
)

// Completion flags of XactEnd.Info: what the transaction asked of servers that replay it.
const (
	XactApplyFeedback      = 1 << 29
	XactUpdateRelcacheFile = 1 << 30
	XactForceSyncCommit    = 1 << 31
)

const twoPhaseMagic = 0x57F94534

// XactEnd is what ends a transaction: xl_xact_parsed_commit and xl_xact_parsed_abort. Its
// lists lie in the record.
type XactEnd struct {
	Op         uint8 // XactCommit, XactAbort, XactCommitPrepared or XactAbortPrepared
	XID        pg.TransactionID
	Time       pg.TimestampTz
	Info       uint32 // XactHas* and completion flags
	DBOID      pg.OID
	SpcOID     pg.OID
	SubXIDs    XIDs
	Rels       Locators      // relations dropped, all forks
	Stats      StatsItems    // of statistics dropped
	Msgs       InvalMessages // of a commit
	GID        []byte        // of a prepared transaction, if recorded
	OriginLSN  pg.LSN        // if Info has XactHasOrigin: the origin is the record's
	OriginTime pg.TimestampTz
}

// Committed reports whether the transaction committed.
func (e *XactEnd) Committed() bool { return e.Op == XactCommit || e.Op == XactCommitPrepared }

// Prepared reports whether the transaction had been prepared: its state file goes.
func (e *XactEnd) Prepared() bool { return e.Op == XactCommitPrepared || e.Op == XactAbortPrepared }

// ParseXactEnd is ParseCommitRecord and ParseAbortRecord. XID is the transaction that
// ended: the prepared one's for COMMIT_PREPARED and ABORT_PREPARED, the record's
// otherwise.
func ParseXactEnd(rec *Record) (XactEnd, error) {
	e := XactEnd{Op: rec.Op(), XID: rec.XID}
	switch e.Op {
	case XactCommit, XactAbort, XactCommitPrepared, XactAbortPrepared:
	default:
		return e, fmt.Errorf("record with info %02X ends no transaction: %w", rec.Info, ErrCorrupt)
	}
	f := fields{in: rec.MainData}
	e.Time = f.time()
	if rec.Info&xactHasInfo != 0 {
		e.Info = f.u32()
	}
	if e.Info&XactHasDBInfo != 0 {
		e.DBOID, e.SpcOID = f.oid(), f.oid()
	}
	if e.Info&XactHasSubxacts != 0 {
		e.SubXIDs = f.xids(f.count(sizeofXID))
	}
	if e.Info&XactHasRelFileNodes != 0 {
		e.Rels = f.locators(f.count(sizeofLocator))
	}
	if e.Info&XactHasDroppedStats != 0 {
		e.Stats = f.stats(f.count(rec.V.StatsItemSize), rec.V)
	}
	if e.Info&XactHasInvals != 0 && e.Committed() {
		e.Msgs = f.msgs(f.count(sizeofInvalMessage))
	}
	if e.Info&XactHasTwoPhase != 0 {
		e.XID = f.xid()
		if e.Info&XactHasGID != 0 {
			e.GID = f.cstring()
		}
	}
	if e.Info&XactHasOrigin != 0 {
		e.OriginLSN, e.OriginTime = f.lsn(), f.time()
	}
	if e.Prepared() && e.Info&XactHasTwoPhase == 0 {
		return e, fmt.Errorf("record names no prepared transaction: %w", ErrCorrupt)
	}
	return e, f.end("xl_xact_commit or xl_xact_abort")
}

// XactAssignmentRec is xl_xact_assignment: subtransactions, for standbys to know whose they are.
type XactAssignmentRec struct {
	TopXID  pg.TransactionID
	SubXIDs XIDs
}

// ParseXactAssignment reads the body of an ASSIGNMENT record.
func ParseXactAssignment(rec *Record) (XactAssignmentRec, error) {
	f := fields{in: rec.MainData}
	a := XactAssignmentRec{TopXID: f.xid()}
	a.SubXIDs = f.xids(f.count(sizeofXID))
	return a, f.done("xl_xact_assignment")
}

// ParseXactInvals reads xl_xact_invals, the body of an INVALIDATION record.
func ParseXactInvals(rec *Record) (InvalMessages, error) {
	f := fields{in: rec.MainData}
	return f.msgs(f.count(sizeofInvalMessage)), f.done("xl_xact_invals")
}

// Prepare is the state of a prepared transaction: xl_xact_prepare and
// xl_xact_parsed_prepare. It is the body of a PREPARE record and, with a checksum
// behind it, a file of pg_twophase.
type Prepare struct {
	XID        pg.TransactionID
	DBOID      pg.OID
	Time       pg.TimestampTz
	Owner      pg.OID
	GID        string
	SubXIDs    XIDs
	OriginLSN  pg.LSN
	OriginTime pg.TimestampTz

	CommitRels, AbortRels   Locators   // dropped if it commits, or if it rolls back
	CommitStats, AbortStats StatsItems // the same of statistics
	Msgs                    InvalMessages
	InitFileInval           bool // xl_xact_prepare's initfileinval: the relcache's file is invalid, too
}

// ParsePrepare reads the body of a PREPARE record.
func ParsePrepare(rec *Record) (Prepare, error) { return ParsePrepareState(rec.V, rec.MainData) }

// ParsePrepareState is ParsePrepareRecord. state is a PREPARE record's main data or a
// pg_twophase file without its checksum, of PostgreSQL v.
func ParsePrepareState(v *pg.Version, state []byte) (Prepare, error) {
	f := fields{in: state}
	magic, total := f.u32(), f.u32()
	if !f.short && (magic != twoPhaseMagic || int64(total) != int64(len(state))+4) {
		return Prepare{}, fmt.Errorf("two-phase state of %d bytes: magic %08X, length %d: %w", len(state), magic, total, ErrCorrupt)
	}
	p := Prepare{XID: f.xid(), DBOID: f.oid(), Time: f.time(), Owner: f.oid()}
	nsub, ncommitRels, nabortRels := f.i32(), f.i32(), f.i32()
	var ncommitStats, nabortStats int32
	if v.StatsItemSize > 0 {
		ncommitStats, nabortStats = f.i32(), f.i32()
	}
	nmsgs := f.i32()
	p.InitFileInval = f.flag()
	f.skip(1)
	gidLen := int(f.u16())
	p.OriginLSN, p.OriginTime = f.lsn(), f.time()
	gid := fields{in: f.take(gidLen)}
	if !f.short {
		p.GID = string(gid.cstring())
	}
	f.short = f.short || gid.short
	f.align()
	p.SubXIDs = f.xids(f.room(nsub, sizeofXID))
	f.align()
	p.CommitRels = f.locators(f.room(ncommitRels, sizeofLocator))
	f.align()
	p.AbortRels = f.locators(f.room(nabortRels, sizeofLocator))
	f.align()
	p.CommitStats = f.stats(f.room(ncommitStats, v.StatsItemSize), v)
	f.align()
	p.AbortStats = f.stats(f.room(nabortStats, v.StatsItemSize), v)
	f.align()
	p.Msgs = f.msgs(f.room(nmsgs, sizeofInvalMessage))
	return p, f.done("xl_xact_prepare")
}

// TwoPhaseFile gives the contents of the pg_twophase file that a PREPARE record stands
// for: its main data and their checksum (twophase.c, RecreateTwoPhaseFile).
func TwoPhaseFile(state []byte) []byte {
	file := make([]byte, 0, len(state)+4)
	return appendU32(append(file, state...), pg.CRC32C(state))
}

// TwoPhaseState is the reverse of TwoPhaseFile: it checks the file's checksum and gives
// what is before it.
func TwoPhaseState(file []byte) ([]byte, error) {
	n := len(file) - 4
	if n < 0 {
		return nil, fmt.Errorf("two-phase file of %d bytes: %w", len(file), ErrCorrupt)
	}
	f := fields{in: file[n:]}
	if stored, want := f.u32(), pg.CRC32C(file[:n]); stored != want {
		return nil, fmt.Errorf("two-phase file: checksum is %08X, should be %08X: %w", stored, want, ErrCorrupt)
	}
	return file[:n], nil
}
