package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// seqRmgr is Sequence, in commands/sequence.c.
var seqRmgr = rmgr{name: "Sequence", mask: seqMask, ops: ops{
	0x0: {name: "LOG", redo: seqLog},
}}

const (
	seqMagic       = 0x1717
	sizeofSeqMagic = 4 // sequence_magic, in the special area
)

// seqLog is seq_redo: the page is always made anew, with one tuple.
func seqLog(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	x, err := xlog.ParseSeq(rec)
	if err != nil {
		return err
	}
	page.Init(sizeofSeqMagic)
	binary.LittleEndian.PutUint32(page.SpecialArea(), seqMagic)
	_, err = page.AddItem(x.Tuple, pg.FirstOffsetNumber, 0)
	return err
}

// seqMask is seq_mask.
func seqMask(page pg.Page, _ pg.BlockNumber) {
	maskLSN(page)
	maskUnused(page)
}
