package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// smgrRmgr is Storage, in catalog/storage.c. A truncation changes the last page that
// a visibility map keeps.
var smgrRmgr = rmgr{name: "Storage", opMask: opMaskAll, ops: [16]op{
	0x1: {name: "CREATE"},
	0x2: {name: "TRUNCATE", touches: smgrTruncateTouches, effect: smgrTruncate},
}}

// smgrTruncateVM is SMGR_TRUNCATE_VM.
const smgrTruncateVM = 0x02

// smgrTruncateTail gives the page of the visibility map that a truncation leaves in
// part, and the first heap block that is gone. There is none if the map is not cut
// or cut between pages.
func smgrTruncateTail(rec *xlog.Record) (tag pg.BufferTag, nblocks pg.BlockNumber, ok bool, err error) {
	b := rec.MainData
	if len(b) < 20 {
		return tag, 0, false, corrupt("xl_smgr_truncate is %d bytes, want 20", len(b))
	}
	nblocks = pg.BlockNumber(binary.LittleEndian.Uint32(b))
	rel := pg.RelFileLocator{
		SpcOID:    pg.OID(binary.LittleEndian.Uint32(b[4:])),
		DBOID:     pg.OID(binary.LittleEndian.Uint32(b[8:])),
		RelNumber: pg.OID(binary.LittleEndian.Uint32(b[12:])),
	}
	flags := binary.LittleEndian.Uint32(b[16:])
	return vmTag(rel, nblocks), nblocks, flags&smgrTruncateVM != 0 && nblocks%vmBlocksPerPage != 0, nil
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
