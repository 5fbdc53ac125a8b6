package xlog

import "zenith/internal/pg"

// The operations of RM_DBASE (commands/dbcommands_xlog.h).
const (
	DbaseCreateFileCopy = 0x00
	DbaseCreateWALLog   = 0x10
	DbaseDrop           = 0x20

	DbaseDrop14 = 0x10 // XLOG_DBASE_DROP in PostgreSQL 14, which has no DbaseCreateWALLog
)

// The operations of RM_TBLSPC (commands/tablespace.h).
const (
	TblspcCreate = 0x00
	TblspcDrop   = 0x10
)

// DbaseCreate is xl_dbase_create_file_copy_rec, or xl_dbase_create_wal_log_rec, which
// has no source.
type DbaseCreate struct {
	DBOID, SpcOID       pg.OID
	SrcDBOID, SrcSpcOID pg.OID
}

// ParseDbaseCreate reads the body of a CREATE_FILE_COPY or CREATE_WAL_LOG record.
func ParseDbaseCreate(rec *Record) (DbaseCreate, error) {
	f := fields{in: rec.MainData}
	c := DbaseCreate{DBOID: f.oid(), SpcOID: f.oid()}
	if rec.Op() == DbaseCreateFileCopy {
		c.SrcDBOID, c.SrcSpcOID = f.oid(), f.oid()
	}
	return c, f.end("xl_dbase_create")
}

// DbaseDropRec is xl_dbase_drop_rec: a database goes from each of its tablespaces.
type DbaseDropRec struct {
	DBOID   pg.OID
	SpcOIDs []pg.OID
}

// ParseDbaseDrop reads the body of a DROP record.
func ParseDbaseDrop(rec *Record) (DbaseDropRec, error) {
	f := fields{in: rec.MainData}
	d := DbaseDropRec{DBOID: f.oid()}
	n := f.count(4)
	for range n {
		d.SpcOIDs = append(d.SpcOIDs, f.oid())
	}
	return d, f.end("xl_dbase_drop_rec")
}

// TblspcCreateRec is xl_tblspc_create_rec.
type TblspcCreateRec struct {
	SpcOID pg.OID
	Path   string // where the server put it; empty for one in place
}

// ParseTblspcCreate reads the body of a CREATE record.
func ParseTblspcCreate(rec *Record) (TblspcCreateRec, error) {
	f := fields{in: rec.MainData}
	c := TblspcCreateRec{SpcOID: f.oid(), Path: string(f.cstring())}
	return c, f.done("xl_tblspc_create_rec")
}

// ParseTblspcDrop reads xl_tblspc_drop_rec.
func ParseTblspcDrop(rec *Record) (pg.OID, error) {
	f := fields{in: rec.MainData}
	return f.oid(), f.done("xl_tblspc_drop_rec")
}
