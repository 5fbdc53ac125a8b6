package rmgrdesc

import (
	"fmt"

	"zenith/internal/xlog"
)

// btreeDescs are btree_desc.
var btreeDescs = descs{
	0x0: btreeInsert,
	0x1: btreeInsert,
	0x2: btreeInsert,
	0x3: btreeSplit,
	0x4: btreeSplit,
	0x5: btreeInsert,
	0x6: fixed("xl_btree_dedup", 2, "nintervals %d", u16(0)),
	0x7: fixed("xl_btree_delete", 8, "latestRemovedXid %d; ndeleted %d; nupdated %d", u32(0), u16(4), u16(6)),
	0x8: btreeUnlinkPage,
	0x9: btreeUnlinkPage,
	0xA: fixed("xl_btree_newroot", 8, "lev %d", u32(4)),
	0xB: fixed("xl_btree_mark_page_halfdead", 20,
		"topparent %d; leaf %d; left %d; right %d", u32(16), u32(4), u32(8), u32(12)),
	0xC: fixed("xl_btree_vacuum", 4, "ndeleted %d; nupdated %d", u16(0), u16(2)),
	0xD: fixed("xl_btree_reuse_page", 24, "rel %v; latestRemovedXid %s", node(0), fullXid(16)),
	0xE: btreeMetaCleanup,
}

func btreeInsert(w *writer, rec *xlog.Record) error {
	return w.fields(rec.MainData, "xl_btree_insert", 2, "off %d", []field{u16(0)})
}

func btreeSplit(w *writer, rec *xlog.Record) error {
	return w.fields(rec.MainData, "xl_btree_split", 10, "level %d, firstrightoff %d, newitemoff %d, postingoff %d",
		[]field{u32(0), u16(4), u16(6), u16(8)})
}

func btreeUnlinkPage(w *writer, rec *xlog.Record) error {
	return w.fields(rec.MainData, "xl_btree_unlink_page", 36,
		"left %d; right %d; level %d; safexid %s; leafleft %d; leafright %d; leaftopparent %d",
		[]field{u32(0), u32(4), u32(8), fullXid(16), u32(24), u32(28), u32(32)})
}

// btreeMetaCleanup is the one btree operation that keeps its struct with the block.
func btreeMetaCleanup(w *writer, rec *xlog.Record) error {
	blk := rec.Block(0)
	if blk == nil {
		return fmt.Errorf("xl_btree_metadata has no block: %w", xlog.ErrCorrupt)
	}
	return w.fields(blk.Data, "xl_btree_metadata", 25, "last_cleanup_num_delpages %d", []field{u32(20)})
}
