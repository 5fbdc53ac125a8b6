package xlog

import (
	"fmt"

	"zenith/internal/pg"
)

// RelMapUpdate is the only operation of RM_RELMAP (utils/relmapper.h).
const RelMapUpdate = 0x00

// RelMapUpdateRec is xl_relmap_update: a relation map, whole. DBOID 0 is the shared
// catalogs' in GlobalTablespace.
type RelMapUpdateRec struct {
	DBOID, SpcOID pg.OID
	Data          []byte // the file's new contents; in the record
}

// ParseRelMapUpdate reads the body of an UPDATE record.
func ParseRelMapUpdate(rec *Record) (RelMapUpdateRec, error) {
	f := fields{in: rec.MainData}
	u := RelMapUpdateRec{DBOID: f.oid(), SpcOID: f.oid()}
	n := f.count(1)
	if !f.short && n != rec.V.RelMapSize {
		return u, fmt.Errorf("xl_relmap_update of %d bytes, want %d: %w", n, rec.V.RelMapSize, ErrCorrupt)
	}
	u.Data = f.take(n)
	return u, f.end("xl_relmap_update")
}
