package pg

import "fmt"

// CheckPoint is the body of a checkpoint record and a part of pg_control
// (catalog/pg_control.h). It has the members of all majors; one that the version's struct
// does not have is zero when read, and lost when written.
type CheckPoint struct {
	Redo              LSN
	ThisTLI, PrevTLI  TLI
	FullPageWrites    bool
	WALLevel          int32 // since 17
	LogicalDecoding   bool  // since 19
	NextXID           FullTransactionID
	NextOID           OID
	NextMulti         MultiXactID
	NextMultiOffset   MultiXactOffset
	OldestXID         TransactionID
	OldestXIDDB       OID
	OldestMulti       MultiXactID
	OldestMultiDB     OID
	Time              int64 // seconds since 1970
	OldestCommitTsXID TransactionID
	NewestCommitTsXID TransactionID
	OldestActiveXID   TransactionID // 0 in a shutdown checkpoint
}

// checkPointLayout is where the members of a major's CheckPoint are, as byte offsets. The
// first four members lie at the same place in all. An offset of 0 is that of a member
// which the major's struct does not have.
type checkPointLayout struct {
	size                                       int // sizeof(CheckPoint)
	walLevel, logicalDecoding                  int
	nextXID, nextOID                           int
	nextMulti                                  int
	nextMultiOffset                            int // MultiOffsetSize bytes wide
	oldestXID, oldestXIDDB                     int
	oldestMulti, oldestMultiDB                 int
	time, oldestCommitTsXID, newestCommitTsXID int
	oldestActiveXID                            int
}

// checkPoint1300 is CheckPoint in a control file of version 1300: PostgreSQL 13 to 16.
var checkPoint1300 = checkPointLayout{
	size:    88,
	nextXID: 24, nextOID: 32,
	nextMulti: 36, nextMultiOffset: 40,
	oldestXID: 44, oldestXIDDB: 48,
	oldestMulti: 52, oldestMultiDB: 56,
	time: 64, oldestCommitTsXID: 72, newestCommitTsXID: 76,
	oldestActiveXID: 80,
}

// checkPoint1700 is CheckPoint in control files of versions 1700 and 1800: PostgreSQL 17 and 18.
// It has wal_level where 1300's has padding.
var checkPoint1700 = func() checkPointLayout {
	l := checkPoint1300
	l.walLevel = 20
	return l
}()

// checkPoint1905 is CheckPoint in a control file of version 1905: PostgreSQL 19. Offsets of multixact members have 8 bytes.
var checkPoint1905 = checkPointLayout{
	size:     96,
	walLevel: 20, logicalDecoding: 24,
	nextXID: 32, nextOID: 40,
	nextMulti: 44, nextMultiOffset: 48,
	oldestXID: 56, oldestXIDDB: 60,
	oldestMulti: 64, oldestMultiDB: 68,
	time: 72, oldestCommitTsXID: 80, newestCommitTsXID: 84,
	oldestActiveXID: 88,
}

// move moves all members that v's struct has.
func (c *CheckPoint) move(s cstruct, v *Version) {
	l := v.checkPoint
	s.lsn(0, &c.Redo)
	s.tli(8, &c.ThisTLI)
	s.tli(12, &c.PrevTLI)
	s.flag(16, &c.FullPageWrites)
	if l.walLevel != 0 {
		s.i32(l.walLevel, &c.WALLevel)
	}
	if l.logicalDecoding != 0 {
		s.flag(l.logicalDecoding, &c.LogicalDecoding)
	}
	s.u64(l.nextXID, (*uint64)(&c.NextXID))
	s.oid(l.nextOID, &c.NextOID)
	s.multi(l.nextMulti, &c.NextMulti)
	s.multiOffset(l.nextMultiOffset, v.MultiOffsetSize, &c.NextMultiOffset)
	s.xid(l.oldestXID, &c.OldestXID)
	s.oid(l.oldestXIDDB, &c.OldestXIDDB)
	s.multi(l.oldestMulti, &c.OldestMulti)
	s.oid(l.oldestMultiDB, &c.OldestMultiDB)
	s.i64(l.time, &c.Time)
	s.xid(l.oldestCommitTsXID, &c.OldestCommitTsXID)
	s.xid(l.newestCommitTsXID, &c.NewestCommitTsXID)
	s.xid(l.oldestActiveXID, &c.OldestActiveXID)
}

// LogsWALLevel reports whether the records of checkpoints and of the end of recovery say what
// wal_level is.
func (v *Version) LogsWALLevel() bool { return v.checkPoint.walLevel != 0 }

// CheckPointSize is sizeof(CheckPoint), the length of a checkpoint record's body.
func (v *Version) CheckPointSize() int { return v.checkPoint.size }

// ParseCheckPoint reads a checkpoint record's body. Any other length than CheckPointSize
// is an ErrCorrupt: it would be another major's.
func (v *Version) ParseCheckPoint(b []byte) (CheckPoint, error) {
	var c CheckPoint
	if len(b) != v.checkPoint.size {
		return c, fmt.Errorf("checkpoint is %d bytes, want %d: %w", len(b), v.checkPoint.size, ErrCorrupt)
	}
	c.move(cstruct{b: b}, v)
	return c, nil
}

// AppendCheckPoint appends a checkpoint record's body, padding zero.
func (v *Version) AppendCheckPoint(b []byte, c *CheckPoint) []byte {
	n := len(b)
	b = append(b, make([]byte, v.checkPoint.size)...)
	c.move(cstruct{b: b[n:], store: true}, v)
	return b
}
