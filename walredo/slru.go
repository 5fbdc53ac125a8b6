package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Resource managers whose records write pages of SLRUs, none of which they name.
// Truncations remove whole segments: no page is changed by them.
var (
	clogRmgr = rmgr{name: "CLOG", ops: ops{
		0x0: zeroesPage(pg.SLRUXact, "ZEROPAGE"),
		0x1: {name: "TRUNCATE"},
	}}
	commitTsRmgr = rmgr{name: "CommitTs", allInfo: true, ops: ops{
		0x0: zeroesPage(pg.SLRUCommitTs, "ZEROPAGE"),
		0x1: {name: "TRUNCATE"},
	}}
	multixactRmgr = rmgr{name: "MultiXact", ops: ops{
		0x0: zeroesPage(pg.SLRUMultiOffsets, "ZERO_OFF_PAGE"),
		0x1: zeroesPage(pg.SLRUMultiMembers, "ZERO_MEM_PAGE"),
		0x2: {name: "CREATE_ID", touches: multixactCreateTouches, effect: multixactCreate},
		0x3: {name: "TRUNCATE_ID"},
	}}
)

// zeroesPage is an op that zeroes the page whose number is the record's data.
func zeroesPage(slru pg.SLRU, name string) op {
	page := func(rec *xlog.Record) (pg.BufferTag, error) {
		pageno, err := xlog.ParseZeroPage(rec)
		if err != nil {
			return pg.BufferTag{}, err
		}
		return slru.Page(pageno), nil
	}
	return op{
		name: name,
		touches: func(rec *xlog.Record, fn func(tag pg.BufferTag)) error {
			tag, err := page(rec)
			if err == nil {
				fn(tag)
			}
			return err
		},
		effect: func(p pg.Page, tag pg.BufferTag, rec *xlog.Record) error {
			if want, err := page(rec); err != nil {
				return err
			} else if want != tag {
				return errUntouched
			}
			clear(p)
			return nil
		},
	}
}

// xlMultixactCreate is xl_multixact_create, with the members as they lie in the record:
// package xlog's has them in a slice of its own, which is too dear for each page.
type xlMultixactCreate struct {
	v       *pg.Version
	mid     pg.MultiXactID
	moff    pg.MultiXactOffset
	members []byte // n of them: xid u32, status u32
	n       uint32
}

const sizeofMultixactMember = 8

func parseXLMultixactCreate(rec *xlog.Record) (x xlMultixactCreate, err error) {
	b := rec.MainData
	if len(b) < 12 {
		return x, corrupt("xl_multixact_create is %d bytes, want 12", len(b))
	}
	x.v = rec.V
	x.mid = pg.MultiXactID(binary.LittleEndian.Uint32(b))
	x.moff = pg.MultiXactOffset(binary.LittleEndian.Uint32(b[4:]))
	x.n = binary.LittleEndian.Uint32(b[8:])
	x.members = b[12:]
	if uint64(len(x.members)) < uint64(x.n)*sizeofMultixactMember {
		return x, corrupt("multixact of %d members with %d bytes of them", x.n, len(x.members))
	}
	return x, nil
}

// member is the offset of the i-th member.
func (x *xlMultixactCreate) member(i uint32) pg.MultiXactOffset { return x.v.AddMultiOffset(x.moff, i) }

// next is the multixact id behind mid, whose members begin where mid's end. Neither
// id nor offset is ever 0.
func (x *xlMultixactCreate) next() (mid pg.MultiXactID, moff pg.MultiXactOffset) {
	return max(x.mid+1, 1), max(x.member(x.n), 1)
}

func (x *xlMultixactCreate) offsetsPage(mid pg.MultiXactID) uint32 {
	return uint32(mid) / x.v.MultiOffsetsPerPage()
}

func (x *xlMultixactCreate) membersPage(i uint32) uint32 {
	return uint32(x.member(i) / pg.MembersPerPage)
}

// multixactCreateTouches lists the pages of the new id's offset, of the next id's,
// and of the members; the members' offsets may wrap around.
func multixactCreateTouches(rec *xlog.Record, fn func(tag pg.BufferTag)) error {
	x, err := parseXLMultixactCreate(rec)
	if err != nil {
		return err
	}
	next, _ := x.next()
	fn(pg.SLRUMultiOffsets.Page(x.offsetsPage(x.mid)))
	if x.offsetsPage(next) != x.offsetsPage(x.mid) {
		fn(pg.SLRUMultiOffsets.Page(x.offsetsPage(next)))
	}
	for i := uint32(0); i < x.n; {
		pageno := x.membersPage(i)
		fn(pg.SLRUMultiMembers.Page(pageno))
		for i < x.n && x.membersPage(i) == pageno {
			i++
		}
	}
	return nil
}

// multixactCreate is RecordNewMultiXact for one of its pages. The offset of the next
// id is written too, as newer minor versions do and their readers require.
func multixactCreate(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error {
	x, err := parseXLMultixactCreate(rec)
	if err != nil {
		return err
	}
	slru, pageno, _ := tag.SLRU()
	done := false
	switch slru {
	case pg.SLRUMultiOffsets:
		next, nextOff := x.next()
		for _, e := range [...]struct {
			mid  pg.MultiXactID
			moff pg.MultiXactOffset
		}{{x.mid, x.moff}, {next, nextOff}} {
			if x.offsetsPage(e.mid) == pageno {
				x.v.PutMultiOffset(page, e.mid, e.moff)
				done = true
			}
		}
	case pg.SLRUMultiMembers:
		done = setMembers(page, pageno, &x)
	}
	if !done {
		return errUntouched
	}
	return nil
}

// setMembers writes those of the members that are on that page, if any: a byte of
// status and an xid each, in groups of four.
func setMembers(page pg.Page, pageno uint32, x *xlMultixactCreate) bool {
	done := false
	for i := range x.n {
		if x.membersPage(i) != pageno {
			continue
		}
		in := int(x.member(i) % pg.MembersPerPage)
		group := in / pg.MembersPerGroup * pg.MemberGroupSize
		member := x.members[i*sizeofMultixactMember:]
		page[group+in%pg.MembersPerGroup] = member[4]
		copy(page[group+pg.MembersPerGroup+4*(in%pg.MembersPerGroup):][:4], member)
		done = true
	}
	return done
}
