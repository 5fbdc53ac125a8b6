package pg

import (
	"encoding/binary"
	"fmt"
)

// SLRU is one of the simple LRU areas whose pages are kept in history. Their
// segments are named like relations, so that a page of pg_xact is found, rebuilt
// and served by the same code as a page of a table: tablespace 0 (which no
// relation has), the SLRU as the database, the segment as the relation.
type SLRU uint32

// The SLRUs that WAL describes. pg_subtrans, pg_notify and pg_serial are made
// anew at each start and are not kept.
const (
	SLRUXact SLRU = 1 + iota
	SLRUMultiOffsets
	SLRUMultiMembers
	SLRUCommitTs
)

// SLRUSpace is the tablespace oid that marks a BufferTag as an SLRU's.
const SLRUSpace OID = 0

// SLRUPagesPerSegment is SLRU_PAGES_PER_SEGMENT of access/slru.h.
const SLRUPagesPerSegment = 32

var slruDirs = map[SLRU]string{
	SLRUXact:         "pg_xact",
	SLRUMultiOffsets: "pg_multixact/offsets",
	SLRUMultiMembers: "pg_multixact/members",
	SLRUCommitTs:     "pg_commit_ts",
}

// SLRUs lists them all, in order.
var SLRUs = []SLRU{SLRUXact, SLRUMultiOffsets, SLRUMultiMembers, SLRUCommitTs}

// Dir is the SLRU's directory below the data directory.
func (s SLRU) Dir() string { return slruDirs[s] }

// String is the directory.
func (s SLRU) String() string {
	if d, ok := slruDirs[s]; ok {
		return d
	}
	return fmt.Sprintf("slru %d", uint32(s))
}

// Segment names a segment file.
func (s SLRU) Segment(segno uint32) RelFork {
	return RelFork{RelFileLocator: RelFileLocator{SpcOID: SLRUSpace, DBOID: OID(s), RelNumber: OID(segno)}}
}

// Page names a page by its number in the SLRU.
func (s SLRU) Page(pageno uint32) BufferTag {
	return s.Segment(pageno / SLRUPagesPerSegment).Tag(BlockNumber(pageno % SLRUPagesPerSegment))
}

// SLRU says which SLRU the block belongs to and the page's number there; ok is
// false for a relation's block.
func (t BufferTag) SLRU() (s SLRU, pageno uint32, ok bool) {
	if t.SpcOID != SLRUSpace {
		return 0, 0, false
	}
	return SLRU(t.DBOID), uint32(t.RelNumber)*SLRUPagesPerSegment + uint32(t.Block), true
}

// IsSLRU reports whether the fork is a segment of an SLRU.
func (r RelFork) IsSLRU() bool { return r.SpcOID == SLRUSpace }

// The numbers of entries per SLRU page (clog.c, multixact.c, commit_ts.c).
const (
	XactsPerPage    = BlockSize * 4 // 2 bits each
	MembersPerGroup = 4             // 4 flag bytes, then 4 xids
	MemberGroupSize = 4 + 4*MembersPerGroup
	MembersPerPage  = BlockSize / MemberGroupSize * MembersPerGroup
	CommitTsSize    = 10 // int64 time, uint16 origin
	CommitTsPerPage = BlockSize / CommitTsSize
)

// MultiOffsetsPerPage is how many multixacts have their offset on one page of
// pg_multixact/offsets.
func (v *Version) MultiOffsetsPerPage() uint32 { return uint32(BlockSize / v.MultiOffsetSize) }

// PutMultiOffset writes where the members of multixact id begin into id's page of
// pg_multixact/offsets.
func (v *Version) PutMultiOffset(page Page, id MultiXactID, off MultiXactOffset) {
	entry := page[int(uint32(id)%v.MultiOffsetsPerPage())*v.MultiOffsetSize:]
	if v.MultiOffsetSize == 8 {
		binary.LittleEndian.PutUint64(entry, uint64(off))
	} else {
		binary.LittleEndian.PutUint32(entry, uint32(off))
	}
}

// AddMultiOffset is off, moved on by n members. Offsets of 4 bytes wrap around.
func (v *Version) AddMultiOffset(off MultiXactOffset, n uint32) MultiXactOffset {
	if off += MultiXactOffset(n); v.MultiOffsetSize == 4 {
		off = MultiXactOffset(uint32(off))
	}
	return off
}

// MultiOffsetPrecedes is MultiXactOffsetPrecedes: a comes before b. Offsets of 4 bytes are
// compared modulo 2^32.
func (v *Version) MultiOffsetPrecedes(a, b MultiXactOffset) bool {
	if v.MultiOffsetSize == 4 {
		return int32(uint32(a)-uint32(b)) < 0
	}
	return a < b
}

// TransactionIDStatus is the two bits of pg_xact (access/clog.h).
type TransactionIDStatus uint8

// The states of a transaction in pg_xact.
const (
	XidInProgress TransactionIDStatus = iota
	XidCommitted
	XidAborted
	XidSubCommitted
)
