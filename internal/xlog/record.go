package xlog

import "zenith/internal/pg"

// RmgrID is a resource manager's number, as access/rmgrlist.h orders them.
type RmgrID uint8

// The resource managers. PostgreSQL 14 to 19 have the same ones.
const (
	RmXLOG RmgrID = iota
	RmXact
	RmSmgr
	RmCLOG
	RmDbase
	RmTblspc
	RmMultiXact
	RmRelMap
	RmStandby
	RmHeap2
	RmHeap
	RmBtree
	RmHash
	RmGin
	RmGist
	RmSeq
	RmSPGist
	RmBRIN
	RmCommitTs
	RmReplOrigin
	RmGeneric
	RmLogicalMsg
	RmMax              = RmLogicalMsg
	RmMinCustom RmgrID = 128
)

// Record is one decoded WAL record. Its slices point into Raw; Decode reuses Blocks.
type Record struct {
	V        *pg.Version // whose record it is: its body, and what redo does, depend on it. Never nil
	StartLSN pg.LSN      // of the record's first byte (behind a page header, if one is there)
	EndLSN   pg.LSN      // PostgreSQL's EndRecPtr: what a page it changes gets as its LSN
	Raw      []byte      // the whole record, header included, page headers taken out

	XID    pg.TransactionID
	Prev   pg.LSN
	Info   uint8 // as stored: the upper half is the rmgr's
	RmgrID RmgrID

	Blocks   []BlockRef // in the record's order; ids may have gaps
	MainData []byte
	Origin   uint16           // replication origin; 0 if none
	TopXID   pg.TransactionID // toplevel xid; 0 if none
}

// The upper half of Info is the resource manager's. Most use all of it to tell their
// operations apart; infoFlags are the bits that some use for something else.
const (
	infoOp       = 0xF0
	infoInitPage = 0x80 // XLOG_HEAP_INIT_PAGE, XLOG_BRIN_INIT_PAGE
)

var infoFlags = [256]uint8{
	RmXact:    xactHasInfo,
	RmHeap2:   infoInitPage,
	RmHeap:    infoInitPage,
	RmBRIN:    infoInitPage,
	RmGeneric: infoOp, // it has one operation, whatever Info says
}

// Op is the operation: Info without the bits that are flags. It is a multiple of 16.
func (r *Record) Op() uint8 { return r.Info & infoOp &^ infoFlags[r.RmgrID] }

// InitPage reports whether the record makes its first block's page anew. Only records of
// Heap, Heap2 and BRIN have a bit for that.
func (r *Record) InitPage() bool {
	switch r.RmgrID {
	case RmHeap2, RmHeap, RmBRIN:
		return r.Info&infoInitPage != 0
	}
	return false
}

// Block gives the block reference with that id, or nil.
func (r *Record) Block(id uint8) *BlockRef {
	for i := range r.Blocks {
		if r.Blocks[i].ID == id {
			return &r.Blocks[i]
		}
	}
	return nil
}

// Changes reports whether a block that the record registered has to be kept as a version of it.
// Free space maps are not kept. And with full_page_writes off, the first backend that sets hint
// bits after a checkpoint logs the page without an image, which does nothing to it (xlog_redo): a sequential
// scan of a fresh branch logs every page of the table that way.
func (r *Record) Changes(b *BlockRef) bool {
	return b.Tag.Fork != pg.FSMFork && (b.HasImage || r.RmgrID != RmXLOG || r.Op() != XLOGFPIForHint)
}

// BlockRef is a block that a record registered (DecodedBkpBlock).
type BlockRef struct {
	ID       uint8
	Tag      pg.BufferTag
	WillInit bool   // BKPBLOCK_WILL_INIT: redo starts from an empty page
	HasData  bool   // BKPBLOCK_HAS_DATA
	Data     []byte // the block's own data
	HasImage bool
	Apply    bool // BKPIMAGE_APPLY: replay restores the image; else it is there for consistency checks only
	Image    Image
}

// Restores reports whether the page after the record needs nothing of the page before it.
func (b *BlockRef) Restores() bool { return b.WillInit || b.HasImage && b.Apply }

// Image is a full-page image as it lies in the record.
type Image struct {
	HoleOffset, HoleLength uint16
	Info                   uint8 // BKPIMAGE_*: compression bits
	Bytes                  []byte
}
