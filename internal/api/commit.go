package api

import (
	"time"

	"zenith/internal/pg"
)

// Commit is a transaction that ended, and what it did.
type Commit struct {
	LSN      pg.LSN    `json:"lsn"` // the point to branch from: the first one at which its changes are seen
	Time     time.Time `json:"time"`
	Before   pg.LSN    `json:"before"` // the end of the commit before it: the last point that has none of it
	XID      uint32    `json:"xid"`
	SubXIDs  []uint32  `json:"subxids,omitempty"`
	Aborted  bool      `json:"aborted,omitempty"`
	Prepared bool      `json:"prepared,omitempty"`
	// Partial: it began before the index of commits did, which may lack some of what it did.
	Partial    bool             `json:"partial,omitempty"`
	WALBytes   int64            `json:"wal_bytes"`
	Tables     []TableChange    `json:"tables"`
	Databases  []DatabaseChange `json:"databases,omitempty"`
	Statistics bool             `json:"statistics,omitempty"` // it changed pg_statistic
	Catalogs   bool             `json:"catalogs,omitempty"`   // it changed other catalogs
}

// TableChange is what a transaction did to a table, or to another relation.
type TableChange struct {
	Database string `json:"database"`
	Schema   string `json:"schema"`
	Table    string `json:"table"`
	OID      uint32 `json:"oid"`
	Kind     string `json:"kind"` // table, partitioned table, view, materialized view, sequence, index, partitioned index, foreign table, type
	// What became of it: created, dropped, truncated, rewritten, altered, advanced (a sequence), or "" if rows
	// alone were changed.
	What     string `json:"what,omitempty"`
	Inserted int64  `json:"inserted"` // rows, as are the next two
	Updated  int64  `json:"updated"`
	Deleted  int64  `json:"deleted"`
}

// DatabaseChange is a database that a transaction created or dropped.
type DatabaseChange struct {
	Database string `json:"database"`
	What     string `json:"what"`
}

// LogOptions say which commits are wanted.
type LogOptions struct {
	Since  string // a time or an LSN as in a point: what ended at it or before is left out; "" is the start of what is kept
	Limit  int    // at most so many; 0: all
	Table  string // TABLE, SCHEMA.TABLE or DATABASE.SCHEMA.TABLE: that change it; "": any
	XID    uint32 // that one, or the one of which it is a subtransaction; 0: any
	What   string // that did this to a table: a TableChange's What; "": anything
	Rows   int64  // that changed so many rows of a table, at least
	All    bool   // aborted transactions too, and those that changed nothing of users
	Follow bool   // go on with those that come, until the context ends; the order is the other one then
}
