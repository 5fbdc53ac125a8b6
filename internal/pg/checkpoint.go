package pg

import (
	"encoding/binary"
	"fmt"
)

// CheckPointSize is sizeof(CheckPoint).
const CheckPointSize = 88

// CheckPoint is the body of a checkpoint record and a part of pg_control
// (catalog/pg_control.h).
type CheckPoint struct {
	Redo              LSN
	ThisTLI, PrevTLI  TLI
	FullPageWrites    bool
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

// ParseCheckPoint reads the first CheckPointSize bytes of b.
func ParseCheckPoint(b []byte) (CheckPoint, error) {
	if len(b) < CheckPointSize {
		return CheckPoint{}, fmt.Errorf("checkpoint is %d bytes, want %d: %w", len(b), CheckPointSize, ErrCorrupt)
	}
	le := binary.LittleEndian
	return CheckPoint{
		Redo:              LSN(le.Uint64(b)),
		ThisTLI:           TLI(le.Uint32(b[8:])),
		PrevTLI:           TLI(le.Uint32(b[12:])),
		FullPageWrites:    b[16] != 0,
		NextXID:           FullTransactionID(le.Uint64(b[24:])),
		NextOID:           OID(le.Uint32(b[32:])),
		NextMulti:         MultiXactID(le.Uint32(b[36:])),
		NextMultiOffset:   MultiXactOffset(le.Uint32(b[40:])),
		OldestXID:         TransactionID(le.Uint32(b[44:])),
		OldestXIDDB:       OID(le.Uint32(b[48:])),
		OldestMulti:       MultiXactID(le.Uint32(b[52:])),
		OldestMultiDB:     OID(le.Uint32(b[56:])),
		Time:              int64(le.Uint64(b[64:])),
		OldestCommitTsXID: TransactionID(le.Uint32(b[72:])),
		NewestCommitTsXID: TransactionID(le.Uint32(b[76:])),
		OldestActiveXID:   TransactionID(le.Uint32(b[80:])),
	}, nil
}

// Append appends the checkpoint's CheckPointSize bytes, padding zero.
func (c *CheckPoint) Append(b []byte) []byte {
	n := len(b)
	b = append(b, make([]byte, CheckPointSize)...)
	c.put(b[n:])
	return b
}

func (c *CheckPoint) put(b []byte) {
	clear(b[:CheckPointSize])
	le := binary.LittleEndian
	le.PutUint64(b, uint64(c.Redo))
	le.PutUint32(b[8:], uint32(c.ThisTLI))
	le.PutUint32(b[12:], uint32(c.PrevTLI))
	b[16] = boolByte(c.FullPageWrites)
	le.PutUint64(b[24:], uint64(c.NextXID))
	le.PutUint32(b[32:], uint32(c.NextOID))
	le.PutUint32(b[36:], uint32(c.NextMulti))
	le.PutUint32(b[40:], uint32(c.NextMultiOffset))
	le.PutUint32(b[44:], uint32(c.OldestXID))
	le.PutUint32(b[48:], uint32(c.OldestXIDDB))
	le.PutUint32(b[52:], uint32(c.OldestMulti))
	le.PutUint32(b[56:], uint32(c.OldestMultiDB))
	le.PutUint64(b[64:], uint64(c.Time))
	le.PutUint32(b[72:], uint32(c.OldestCommitTsXID))
	le.PutUint32(b[76:], uint32(c.NewestCommitTsXID))
	le.PutUint32(b[80:], uint32(c.OldestActiveXID))
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}
