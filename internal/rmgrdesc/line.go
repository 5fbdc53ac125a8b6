package rmgrdesc

import (
	"bytes"
	"fmt"
	"time"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/walredo"
)

// Line gives the line that pg_waldump prints for a record, without its newline. The
// times in it are given in zone.
func Line(rec *xlog.Record, zone *time.Location) string {
	var b bytes.Buffer
	w := &writer{Buffer: &b, version: rec.V, style: styles.Of(rec.V), zone: zone}
	w.header(rec)
	w.describe(rec)
	w.blockRefs(rec)
	return b.String()
}

// writer collects a line about a record of some version.
type writer struct {
	*bytes.Buffer
	version *pg.Version
	style   style
	zone    *time.Location
}

// style is what a version's pg_waldump prints otherwise all over.
type style struct {
	catalogRel  bool // the members isCatalogRel are printed
	wideLSN     bool // the lower half of each LSN is padded with zeros
	noImageNote bool // the lines of Gin do not say that there is a page image
	plainXact   bool // apply_feedback is not printed, and the origin only of commits
}

// styles are those of each major version.
var styles = pg.PerVersion[style]{
	14: {plainXact: true},
	17: {catalogRel: true},
	18: {catalogRel: true},
	19: {catalogRel: true, wideLSN: true, noImageNote: true},
}

func (w *writer) printf(format string, args ...any) { fmt.Fprintf(w, format, args...) }

// text writes the description of a record whose body was parsed with the result err. It
// writes nothing if that failed, and returns err.
func (w *writer) text(err error, format string, args ...any) error {
	if err == nil {
		w.printf(format, args...)
	}
	return err
}

// header writes what stands before the operation's name.
func (w *writer) header(rec *xlog.Record) {
	total := len(rec.Raw)
	images := 0
	for i := range rec.Blocks {
		images += len(rec.Blocks[i].Image.Bytes)
	}
	rm, op := walredo.Name(rec)
	w.printf("rmgr: %-11s len (rec/tot): %6d/%6d, tx: %10d, lsn: %s, prev %s, desc: %s ",
		rm, total-images, total, rec.XID, paddedLSN(rec.StartLSN), paddedLSN(rec.Prev), op)
}

// paddedLSN is the form of the line's head, with the lower half at full width.
func paddedLSN(l pg.LSN) string { return fmt.Sprintf("%X/%08X", uint32(l>>32), uint32(l)) }

// lsn gives an LSN as a record's description has it.
func (w *writer) lsn(l pg.LSN) string {
	if w.style.wideLSN {
		return paddedLSN(l)
	}
	return l.String()
}

// describe writes what the resource manager knows. What is wrong with a damaged
// record becomes part of the line, so that a dump goes on behind it.
func (w *writer) describe(rec *xlog.Record) {
	desc := describer(rec)
	if desc == nil {
		return
	}
	if err := desc(w, rec); err != nil {
		w.printf("<%v>", err)
	}
}

// blockRefs writes the blocks that the record registered (XLogRecGetBlockRefInfo).
func (w *writer) blockRefs(rec *xlog.Record) {
	for i := range rec.Blocks {
		blk := &rec.Blocks[i]
		w.printf(", blkref #%d: rel %v", blk.ID, blk.Tag.RelFileLocator)
		if blk.Tag.Fork != pg.MainFork {
			w.printf(" fork %v", blk.Tag.Fork)
		}
		w.printf(" blk %d", blk.Tag.Block)
		switch {
		case blk.HasImage && blk.Apply:
			w.WriteString(" FPW")
		case blk.HasImage:
			w.WriteString(" FPW for WAL verification")
		}
	}
}
