package xlog

import (
	"fmt"

	"zenith/internal/pg"
)

// The operations of RM_MULTIXACT (access/multixact.h).
const (
	MultiXactZeroOffPage = 0x00
	MultiXactZeroMemPage = 0x10
	MultiXactCreateID    = 0x20
	MultiXactTruncateID  = 0x30
)

const maxMultiXactStatus = 5 // MultiXactStatusUpdate

// MultiXactCreate is xl_multixact_create.
type MultiXactCreate struct {
	ID      pg.MultiXactID
	Offset  pg.MultiXactOffset // of the first member
	Members MultiXactMembers
}

// ParseMultiXactCreate reads the body of a CREATE_ID record: the id, the offset, which is
// aligned to its own size, the number of members, and the members.
func ParseMultiXactCreate(rec *Record) (c MultiXactCreate, err error) {
	const name = "xl_multixact_create"
	size := rec.V.MultiOffsetSize
	header := 2*size + 4
	s, err := structOf(rec.MainData, name, header)
	if err != nil {
		return c, err
	}
	c.ID, c.Offset = pg.MultiXactID(s.u32(0)), s.multiOffset(size, size)
	n := int(s.i32(2 * size))
	if n < 0 || n*sizeofMultiXactMember != len(s)-header {
		return c, fmt.Errorf("%s has %d members in %d bytes: %w", name, n, len(s)-header, ErrCorrupt)
	}
	c.Members = MultiXactMembers{s[header:]}
	for i := range n {
		if st := c.Members.At(i).Status; st > maxMultiXactStatus {
			return c, fmt.Errorf("%s: member status %d: %w", name, st, ErrCorrupt)
		}
	}
	return c, nil
}

// MultiXactTruncate is xl_multixact_truncate: multixacts from StartID up to but not with
// EndID go, and their members. Where offsets have 8 bytes all before EndID and EndMember go, and there
// is no start: it is 0.
type MultiXactTruncate struct {
	OldestDB               pg.OID
	StartID, EndID         pg.MultiXactID
	StartMember, EndMember pg.MultiXactOffset
}

// ParseMultiXactTruncate reads the body of a TRUNCATE_ID record.
func ParseMultiXactTruncate(rec *Record) (MultiXactTruncate, error) {
	f := fields{in: rec.MainData}
	if rec.V.MultiOffsetSize == 8 {
		t := MultiXactTruncate{OldestDB: f.oid(), EndID: pg.MultiXactID(f.u32()), EndMember: f.multiOffset(rec.V)}
		return t, f.end("xl_multixact_truncate")
	}
	t := MultiXactTruncate{
		OldestDB:    f.oid(),
		StartID:     pg.MultiXactID(f.u32()),
		EndID:       pg.MultiXactID(f.u32()),
		StartMember: f.multiOffset(rec.V),
		EndMember:   f.multiOffset(rec.V),
	}
	return t, f.end("xl_multixact_truncate")
}
