package pg

import "fmt"

// The scalar types of PostgreSQL's headers.
type (
	OID             uint32
	BlockNumber     uint32 // a block of a fork, counted over all its 1 GiB segments
	OffsetNumber    uint16 // a line pointer of a page, from 1
	TransactionID   uint32
	MultiXactID     uint32
	MultiXactOffset uint64 // of a member; up to 18 they have 32 bits and wrap around
	TLI             uint32 // PostgreSQL's TimeLineID; our timelines are repo.TimelineID
)

// FullTransactionID is a transaction id with its epoch in the upper half.
type FullTransactionID uint64

// FullXID joins an epoch and a transaction id.
func FullXID(epoch uint32, xid TransactionID) FullTransactionID {
	return FullTransactionID(epoch)<<32 | FullTransactionID(xid)
}

// XID is the transaction id without its epoch.
func (x FullTransactionID) XID() TransactionID { return TransactionID(x) }

// Epoch says how many times the transaction id has wrapped.
func (x FullTransactionID) Epoch() uint32 { return uint32(x >> 32) }

// Widen is FullTransactionIdFromAllowableAt: xid with its epoch. xid is in use, or was a
// moment ago, while x is the next transaction id.
func (x FullTransactionID) Widen(xid TransactionID) FullTransactionID {
	epoch := x.Epoch()
	if xid >= FirstNormalTransactionID && xid > x.XID() {
		epoch-- // it was assigned before the counter wrapped around
	}
	return FullXID(epoch, xid)
}

// AdvancePast is AdvanceNextFullTransactionIdPastXid: x, the next transaction id, moved
// beyond xid if that is not behind it already.
func (x FullTransactionID) AdvancePast(xid TransactionID) FullTransactionID {
	if xid < FirstNormalTransactionID || xid.Precedes(x.XID()) {
		return x
	}
	next, epoch := xid+1, x.Epoch()
	if next < FirstNormalTransactionID {
		next = FirstNormalTransactionID
	}
	if next < x.XID() {
		epoch++
	}
	return FullXID(epoch, next)
}

// Constants of access/transam.h and storage/block.h.
const (
	FirstNormalTransactionID TransactionID = 3
	FirstNormalObjectID      OID           = 16384
	InvalidBlockNumber       BlockNumber   = 0xFFFFFFFF
)

// Precedes is TransactionIdPrecedes: x is logically older than y, modulo 2^32.
func (x TransactionID) Precedes(y TransactionID) bool {
	if x < FirstNormalTransactionID || y < FirstNormalTransactionID {
		return x < y
	}
	return int32(x-y) < 0
}

// Well-known tablespaces (catalog/pg_tablespace.dat).
const (
	DefaultTablespace OID = 1663 // base/<db>
	GlobalTablespace  OID = 1664 // global
)

// ForkNumber names one of a relation's forks.
type ForkNumber uint8

// The forks, in the order of common/relpath.h.
const (
	MainFork ForkNumber = iota
	FSMFork
	VisibilityMapFork
	InitFork
	MaxFork = InitFork
)

var forkNames = [...]string{"main", "fsm", "vm", "init"}

// String gives the fork's name as common/relpath.c has it.
func (f ForkNumber) String() string {
	if int(f) < len(forkNames) {
		return forkNames[f]
	}
	return fmt.Sprintf("fork %d", uint8(f))
}

// RelFileLocator names a relation's storage (RelFileNode in PostgreSQL 15).
type RelFileLocator struct {
	SpcOID, DBOID, RelNumber OID
}

// String gives spc/db/rel, as PostgreSQL's WAL descriptions do.
func (r RelFileLocator) String() string {
	return fmt.Sprintf("%d/%d/%d", r.SpcOID, r.DBOID, r.RelNumber)
}

// RelFork names one fork of a relation: one file, in 1 GiB segments. A segment of
// an SLRU is one too (see SLRU).
type RelFork struct {
	RelFileLocator
	Fork ForkNumber
}

// String gives spc/db/rel and the fork, if it is not the main one.
func (r RelFork) String() string {
	if r.Fork == MainFork {
		return r.RelFileLocator.String()
	}
	return r.RelFileLocator.String() + "_" + r.Fork.String()
}

// Tag names a block of the fork.
func (r RelFork) Tag(blkno BlockNumber) BufferTag { return BufferTag{RelFork: r, Block: blkno} }

// BufferTag is the full name of one block.
type BufferTag struct {
	RelFork
	Block BlockNumber
}

// String gives rel and block as error messages want it.
func (t BufferTag) String() string { return fmt.Sprintf("%v block %d", t.RelFork, t.Block) }
