package walredo

import (
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Touches calls fn with each page that rec changes without registering it: pages of
// visibility maps and of SLRUs. No tag is reported twice. Redo takes each of them.
//
// What cannot be told from a record alone is left to the caller:
//
//   - A commit touches a page of pg_commit_ts only if the server keeps that
//     (track_commit_timestamp, which XLOG/PARAMETER_CHANGE tells); it is reported always.
//   - A heap record that clears bits on a page that the visibility map does not have
//     makes it, and those before it: stock replay extends the map with empty pages
//     (pg.Page.Init, not zeros). Redo of a zero page does that for the one named.
//   - Storage/TRUNCATE changes the page of the visibility map only if it is there.
//
// An op that is not in the tables touches nothing that we know of; that is no error
// here. Bytes that cannot be parsed are ErrCorrupt.
func Touches(rec *xlog.Record, fn func(tag pg.BufferTag)) error {
	_, o := lookup(rec)
	if o == nil || o.touches == nil {
		return nil
	}
	if err := o.touches(rec, fn); err != nil {
		rm, name := Name(rec)
		return fmt.Errorf("%s/%s at %v: %w", rm, name, rec.StartLSN, err)
	}
	return nil
}
