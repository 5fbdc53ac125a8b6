package heap

import "zenith/internal/pg"

// Xacts tells of transactions whether they committed, from pg_xact. It is for one goroutine.
type Xacts struct {
	// segment reads a segment of pg_xact: nil if it is not there.
	segment func(segno uint32) ([]byte, error)
	read    map[uint32][]byte
}

// NewXacts makes Xacts that read pg_xact by segment, each once: whose result is nil for one that is not there.
func NewXacts(segment func(segno uint32) ([]byte, error)) *Xacts {
	return &Xacts{segment: segment, read: make(map[uint32][]byte)}
}

// Transactions in a byte of pg_xact, and in a segment (access/transam/clog.c).
const (
	xactsPerByte    = 4
	xactsPerSegment = pg.SLRUPagesPerSegment * pg.BlockSize * xactsPerByte
)

// Committed is TransactionIdDidCommit. Transactions whose part of pg_xact was removed have committed: what
// aborted ones left was removed before that.
func (x *Xacts) Committed(xid pg.TransactionID) (bool, error) {
	const stateBits, stateMask, stateCommitted = 2, 3, 1
	if xid < pg.FirstNormalTransactionID {
		return xid != 0, nil
	}
	segno := uint32(xid / xactsPerSegment)
	segment, known := x.read[segno]
	if !known {
		var err error
		if segment, err = x.segment(segno); err != nil {
			return false, err
		}
		x.read[segno] = segment
	}
	if segment == nil {
		return true, nil
	}
	at := int(xid % xactsPerSegment)
	if at/xactsPerByte >= len(segment) {
		return false, nil
	}
	return segment[at/xactsPerByte]>>(at%xactsPerByte*stateBits)&stateMask == stateCommitted, nil
}
