package xlog

import "zenith/internal/pg"

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
	if n := f.count(1); !f.short {
		u.Data = f.take(n)
	}
	return u, f.done("xl_relmap_update")
}
