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

// newMultixact is an xl_multixact_create, and where its offset and members are kept.
type newMultixact struct {
	xlog.MultiXactCreate
	v *pg.Version
}

func parseNewMultixact(rec *xlog.Record) (newMultixact, error) {
	x, err := xlog.ParseMultiXactCreate(rec)
	return newMultixact{MultiXactCreate: x, v: rec.V}, err
}

// member is the offset of the i-th member.
func (x *newMultixact) member(i int) pg.MultiXactOffset {
	return x.v.AddMultiOffset(x.Offset, uint32(i))
}

// next is the multixact id behind the new one, and the offset of its members, which begin
// where the new one's end. Neither id nor offset is ever 0.
func (x *newMultixact) next() (mid pg.MultiXactID, moff pg.MultiXactOffset) {
	return max(x.ID+1, 1), max(x.member(x.Members.Len()), 1)
}

func (x *newMultixact) offsetsPage(mid pg.MultiXactID) uint32 {
	return uint32(mid) / x.v.MultiOffsetsPerPage()
}

func (x *newMultixact) membersPage(i int) uint32 {
	return uint32(x.member(i) / pg.MembersPerPage)
}

// multixactCreateTouches lists the pages of the new id's offset, of the next id's,
// and of the members; the members' offsets may wrap around.
func multixactCreateTouches(rec *xlog.Record, fn func(tag pg.BufferTag)) error {
	x, err := parseNewMultixact(rec)
	if err != nil {
		return err
	}
	next, _ := x.next()
	fn(pg.SLRUMultiOffsets.Page(x.offsetsPage(x.ID)))
	if x.offsetsPage(next) != x.offsetsPage(x.ID) {
		fn(pg.SLRUMultiOffsets.Page(x.offsetsPage(next)))
	}
	for i := 0; i < x.Members.Len(); {
		pageno := x.membersPage(i)
		fn(pg.SLRUMultiMembers.Page(pageno))
		for i < x.Members.Len() && x.membersPage(i) == pageno {
			i++
		}
	}
	return nil
}

// multixactCreate is RecordNewMultiXact for one of its pages. The offset of the next
// id is written too, as newer minor versions do and their readers require.
func multixactCreate(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error {
	x, err := parseNewMultixact(rec)
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
		}{{x.ID, x.Offset}, {next, nextOff}} {
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
func setMembers(page pg.Page, pageno uint32, x *newMultixact) bool {
	done := false
	for i := range x.Members.Len() {
		if x.membersPage(i) != pageno {
			continue
		}
		in := int(x.member(i) % pg.MembersPerPage)
		group := in / pg.MembersPerGroup * pg.MemberGroupSize
		member := x.Members.At(i)
		page[group+in%pg.MembersPerGroup] = byte(member.Status)
		binary.LittleEndian.PutUint32(page[group+pg.MembersPerGroup+4*(in%pg.MembersPerGroup):], uint32(member.XID))
		done = true
	}
	return done
}
