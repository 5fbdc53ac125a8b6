package xlog

import "zenith/internal/pg"

// The operations of RM_CLOG (access/clog.h).
const (
	CLOGZeroPage = 0x00
	CLOGTruncate = 0x10
)

// The operations of RM_COMMIT_TS (access/commit_ts.h).
const (
	CommitTsZeroPage = 0x00
	CommitTsTruncate = 0x10
)

// ParseZeroPage reads the page number in a record of CLOG, COMMIT_TS or MULTIXACT that
// zeroes a page of the SLRU.
func ParseZeroPage(rec *Record) (pageno uint32, err error) {
	f := fields{in: rec.MainData}
	return f.pageNo(rec.V), f.end("page number")
}

// CLOGTruncateRec is xl_clog_truncate.
type CLOGTruncateRec struct {
	Page      uint32 // pages logically before it go
	OldestXID pg.TransactionID
	OldestDB  pg.OID
}

// ParseCLOGTruncate reads the body of a CLOG TRUNCATE record.
func ParseCLOGTruncate(rec *Record) (CLOGTruncateRec, error) {
	f := fields{in: rec.MainData}
	t := CLOGTruncateRec{Page: f.pageNo(rec.V), OldestXID: f.xid(), OldestDB: f.oid()}
	return t, f.end("xl_clog_truncate")
}

// CommitTsTruncateRec is xl_commit_ts_truncate.
type CommitTsTruncateRec struct {
	Page      uint32 // pages logically before it go
	OldestXID pg.TransactionID
}

// ParseCommitTsTruncate reads the body of a COMMIT_TS TRUNCATE record.
func ParseCommitTsTruncate(rec *Record) (CommitTsTruncateRec, error) {
	f := fields{in: rec.MainData}
	t := CommitTsTruncateRec{Page: f.pageNo(rec.V), OldestXID: f.xid()}
	return t, f.end("xl_commit_ts_truncate")
}
