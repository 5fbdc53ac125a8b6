package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// smgrRmgr is Storage, in catalog/storage.c. A truncation changes the last page that
// a visibility map keeps.
var smgrRmgr = rmgr{name: "Storage", ops: ops{
	0x1: {name: "CREATE"},
	0x2: {name: "TRUNCATE", touches: smgrTruncateTouches, effect: smgrTruncate},
}}

// smgrTruncateTail gives the page of the visibility map that a truncation leaves in
// part, and the first heap block that is gone. There is none if the map is not cut
// or cut between pages.
func smgrTruncateTail(rec *xlog.Record) (tag pg.BufferTag, nblocks pg.BlockNumber, ok bool, err error) {
	x, err := xlog.ParseSmgrTruncate(rec)
	if err != nil {
		return tag, 0, false, err
	}
	return vmTag(x.Rel, x.Blocks), x.Blocks, x.Flags&xlog.SmgrTruncateVM != 0 && x.Blocks%vmBlocksPerPage != 0, nil
}

func smgrTruncateTouches(rec *xlog.Record, fn func(tag pg.BufferTag)) error {
	tag, _, ok, err := smgrTruncateTail(rec)
	if ok {
		fn(tag)
	}
	return err
}

// smgrTruncate is visibilitymap_prepare_truncate in smgr_redo.
func smgrTruncate(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error {
	want, nblocks, ok, err := smgrTruncateTail(rec)
	if err != nil {
		return err
	}
	if !ok || want != tag {
		return errUntouched
	}
	if err := vmInit(page); err != nil {
		return err
	}
	vmTruncate(page, nblocks)
	return nil
}
