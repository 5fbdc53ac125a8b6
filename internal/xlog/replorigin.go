package xlog

import "zenith/internal/pg"

// The operations of RM_REPLORIGIN (replication/origin.h).
const (
	ReplOriginSet  = 0x00
	ReplOriginDrop = 0x10
)

// ReplOriginSetRec is xl_replorigin_set: how far a replication origin has come.
type ReplOriginSetRec struct {
	RemoteLSN pg.LSN
	Node      uint16
	Force     bool // may go back
}

// ParseReplOriginSet reads the body of a SET record.
func ParseReplOriginSet(rec *Record) (ReplOriginSetRec, error) {
	f := fields{in: rec.MainData}
	s := ReplOriginSetRec{RemoteLSN: f.lsn(), Node: f.u16(), Force: f.flag()}
	return s, f.done("xl_replorigin_set")
}

// ParseReplOriginDrop reads xl_replorigin_drop.
func ParseReplOriginDrop(rec *Record) (node uint16, err error) {
	f := fields{in: rec.MainData}
	return f.u16(), f.done("xl_replorigin_drop")
}
