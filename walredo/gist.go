package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// gistRmgr is Gist, in access/gist/gistxlog.c. A left child whose downlink a record
// inserts gets its new NSN even if the record brings an image of it, since the image
// was taken before.
var gistRmgr = rmgr{
	name: "Gist",
	ops: ops{
		0x0: {name: "PAGE_UPDATE", redo: gistPageUpdate, afterImage: block1},
		0x1: {name: "DELETE", redo: gistDelete},
		0x2: {name: "PAGE_REUSE"}, // for standby conflicts only: it has no blocks
		0x3: {name: "PAGE_SPLIT", redo: gistPageSplit, afterImage: block0},
		0x6: {name: "PAGE_DELETE", redo: gistPageDelete},
		0x7: {name: "ASSIGN_LSN"}, // takes up room in the WAL, no more
	},
	mask: gistMask,
}

// Flags of GISTPageOpaqueData (access/gist.h). Bit 2, F_TUPLES_DELETED, was set by
// earlier minor versions when tuples were removed; today's leave it alone.
const (
	gistLeaf         = 1 << 0
	gistDeleted      = 1 << 1
	gistTuplesGone   = 1 << 2
	gistFollowRight  = 1 << 3
	gistHasGarbage   = 1 << 4
	gistRootBlkno    = pg.BlockNumber(0)
	gistPageID       = 0xFF81
	gistOpaqueSize   = 16
	gistOpaqueAt     = pg.BlockSize - gistOpaqueSize
	gistDeletedLower = pg.PageHeaderSize + 8 // behind GISTDeletedPageContents
)

// gistPageOpaque is GISTPageOpaqueData, in place in the special area of a page.
type gistPageOpaque []byte

// gistOpaque finds the special area of an existing page.
func gistOpaque(page pg.Page) (gistPageOpaque, error) {
	if page.Special() != gistOpaqueAt {
		return nil, corrupt("special area of a gist page at %d, want %d", page.Special(), gistOpaqueAt)
	}
	return gistPageOpaque(page[gistOpaqueAt:pg.BlockSize]), nil
}

// gistInitPage is gistinitpage.
func gistInitPage(page pg.Page, flags uint16) gistPageOpaque {
	page.Init(gistOpaqueSize)
	o := gistPageOpaque(page[gistOpaqueAt:pg.BlockSize])
	o.setRightLink(pg.InvalidBlockNumber)
	o.setFlags(flags)
	binary.LittleEndian.PutUint16(o[14:], gistPageID)
	return o
}

// setNSN stores the node sequence number, like pd_lsn with the upper half first.
func (o gistPageOpaque) setNSN(nsn pg.LSN) {
	binary.LittleEndian.PutUint32(o, uint32(nsn>>32))
	binary.LittleEndian.PutUint32(o[4:], uint32(nsn))
}

func (o gistPageOpaque) setRightLink(b pg.BlockNumber) {
	binary.LittleEndian.PutUint32(o[8:], uint32(b))
}

func (o gistPageOpaque) flags() uint16      { return binary.LittleEndian.Uint16(o[12:]) }
func (o gistPageOpaque) setFlags(f uint16)  { binary.LittleEndian.PutUint16(o[12:], f) }
func (o gistPageOpaque) addFlags(f uint16)  { o.setFlags(o.flags() | f) }
func (o gistPageOpaque) dropFlags(f uint16) { o.setFlags(o.flags() &^ f) }

// gistClearFollowRight is gistRedoClearFollowRight.
func gistClearFollowRight(page pg.Page, rec *xlog.Record) error {
	o, err := gistOpaque(page)
	if err != nil {
		return err
	}
	o.setNSN(rec.EndLSN)
	o.dropFlags(gistFollowRight)
	return nil
}

// gistPageUpdate is gistRedoPageUpdateRecord: block 0 changes, block 1 is a left
// child whose split is complete with that.
func gistPageUpdate(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	if blk.ID == 1 {
		return gistClearFollowRight(page, rec)
	}
	xl, err := xlog.ParseGistPageUpdate(rec)
	if err != nil {
		return err
	}
	todelete, tuples, err := xlog.CutOffsets(blk.Data, xl.NToDelete)
	if err != nil {
		return err
	}
	if xl.NToDelete == 1 && xl.NToInsert == 1 {
		// One for one: the item stays where it is.
		size, err := indexTupleSize(tuples)
		if err != nil {
			return err
		}
		return page.IndexTupleOverwrite(todelete.At(0), tuples[:size])
	}
	if err := indexMultiDelete(page, todelete); err != nil {
		return err
	}
	return addIndexTuples(page, tuples, xl.NToInsert, page.MaxOffset()+1)
}

// gistDelete is gistRedoDeleteRecord: items that index scans have marked dead go.
func gistDelete(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	xl, err := xlog.ParseGistDelete(rec)
	if err != nil {
		return err
	}
	o, err := gistOpaque(page)
	if err != nil {
		return err
	}
	if err := indexMultiDelete(page, xl.ToDelete); err != nil {
		return err
	}
	o.dropFlags(gistHasGarbage)
	return nil
}

// gistPageSplit is gistRedoPageSplitRecord: blocks 1 to npage are the pages into
// which one was split, block 0 is a left child whose split is complete with that.
func gistPageSplit(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	if blk.ID == 0 {
		return gistClearFollowRight(page, rec)
	}
	xl, err := xlog.ParseGistPageSplit(rec)
	if err != nil {
		return err
	}
	first, err := blockNumber(rec, 1)
	if err != nil {
		return err
	}
	flags := uint16(0)
	if xl.OrigLeaf && blk.Tag.Block != gistRootBlkno {
		flags = gistLeaf
	}
	o := gistInitPage(page, flags)
	o.setNSN(xl.OrigNSN)
	if last := int(blk.ID) >= xl.NPage; !last {
		// The pages are chained in the order of the record; a new root is not in it.
		next, err := blockNumber(rec, blk.ID+1)
		if err != nil {
			return err
		}
		if blk.Tag.Block != gistRootBlkno {
			o.setRightLink(next)
		}
		if first != gistRootBlkno && xl.MarkFollowRight {
			o.addFlags(gistFollowRight)
		}
	} else if blk.Tag.Block != gistRootBlkno {
		o.setRightLink(xl.OrigRightLink)
	}
	if len(blk.Data) < 4 {
		return corrupt("page split data of %d bytes, want 4", len(blk.Data))
	}
	ntuples := int(int32(binary.LittleEndian.Uint32(blk.Data)))
	return addIndexTuples(page, blk.Data[4:], ntuples, pg.FirstOffsetNumber)
}

// gistPageDelete is gistRedoPageDelete: block 0 is an empty leaf, block 1 its parent.
func gistPageDelete(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := xlog.ParseGistPageDelete(rec)
	if err != nil {
		return err
	}
	if blk.ID == 1 {
		return page.IndexTupleDelete(xl.DownlinkOffset)
	}
	o, err := gistOpaque(page)
	if err != nil {
		return err
	}
	// GistPageSetDeleted: the page now holds nothing but its deleteXid.
	o.addFlags(gistDeleted)
	page.SetLower(gistDeletedLower)
	binary.LittleEndian.PutUint64(page[pg.PageHeaderSize:], uint64(xl.DeleteXID))
	return nil
}

// gistMask is gist_mask. It hides F_TUPLES_DELETED too, for the sake of WAL and pages
// of the minor versions that set it.
func gistMask(page pg.Page, _ pg.BlockNumber) {
	maskLSN(page)
	maskHints(page)
	maskUnused(page)
	o, err := gistOpaque(page)
	if err != nil {
		return
	}
	o.setNSN(0)
	o.addFlags(gistFollowRight)
	if o.flags()&gistLeaf != 0 {
		maskLPFlags(page)
	}
	o.dropFlags(gistHasGarbage | gistTuplesGone)
}
