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

// ParseMultiXactCreate reads the body of a CREATE_ID record.
func ParseMultiXactCreate(rec *Record) (MultiXactCreate, error) {
	f := fields{in: rec.MainData}
	c := MultiXactCreate{ID: pg.MultiXactID(f.u32()), Offset: f.multiOffset(rec.V)}
	c.Members = f.members(f.count(sizeofMultiXactMember))
	for i := range c.Members.Len() {
		if st := c.Members.At(i).Status; st > maxMultiXactStatus {
			return c, fmt.Errorf("xl_multixact_create: member status %d: %w", st, ErrCorrupt)
		}
	}
	return c, f.end("xl_multixact_create")
}

// MultiXactTruncate is xl_multixact_truncate: multixacts from StartID up to but not with
// EndID go, and their members.
type MultiXactTruncate struct {
	OldestDB               pg.OID
	StartID, EndID         pg.MultiXactID
	StartMember, EndMember pg.MultiXactOffset
}

// ParseMultiXactTruncate reads the body of a TRUNCATE_ID record.
func ParseMultiXactTruncate(rec *Record) (MultiXactTruncate, error) {
	f := fields{in: rec.MainData}
	t := MultiXactTruncate{
		OldestDB:    f.oid(),
		StartID:     pg.MultiXactID(f.u32()),
		EndID:       pg.MultiXactID(f.u32()),
		StartMember: f.multiOffset(rec.V),
		EndMember:   f.multiOffset(rec.V),
	}
	return t, f.end("xl_multixact_truncate")
}
