package walredo

import (
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Touches calls fn with each page that rec changes without registering it: pages of
// visibility maps and of SLRUs. No tag is reported twice. Redo takes each of them.
//
// What cannot be told from a record alone is left to the caller: whether the server
// keeps pg_commit_ts at all (track_commit_timestamp), and whether the relation still
// has a visibility map to clear bits in (one that does not exist is made: stock
// replay extends it with empty pages).
//
// An op that is not in the tables touches nothing that we know of; that is no error
// here. Bytes that cannot be parsed are ErrCorrupt.
func Touches(rec *xlog.Record, fn func(tag pg.BufferTag)) error {
	_, o := lookup(rec.RmgrID, rec.Info)
	if o == nil || o.touches == nil {
		return nil
	}
	if err := o.touches(rec, fn); err != nil {
		rm, name := Name(rec.RmgrID, rec.Info)
		return fmt.Errorf("%s/%s at %v: %w", rm, name, rec.StartLSN, err)
	}
	return nil
}
