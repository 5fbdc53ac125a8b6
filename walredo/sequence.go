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
	sizeofSeqMagic = 4  // sequence_magic, in the special area
	sizeofXLSeqRec = 12 // xl_seq_rec: the sequence's RelFileNode
)

// seqLog is seq_redo: the page is always made anew, with one tuple.
func seqLog(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	if len(rec.MainData) < sizeofXLSeqRec {
		return corrupt("xl_seq_rec is %d bytes, want %d", len(rec.MainData), sizeofXLSeqRec)
	}
	page.Init(sizeofSeqMagic)
	binary.LittleEndian.PutUint32(page.SpecialArea(), seqMagic)
	_, err := page.AddItem(rec.MainData[sizeofXLSeqRec:], pg.FirstOffsetNumber, 0)
	return err
}

// seqMask is seq_mask.
func seqMask(page pg.Page, _ pg.BlockNumber) {
	maskLSN(page)
	maskUnused(page)
}
