package rmgrdesc

import "zenith/internal/xlog"

// btreeDescs are btree_desc.
var btreeDescs = descs{
	0x0: btreeInsert,
	0x1: btreeInsert,
	0x2: btreeInsert,
	0x3: btreeSplit,
	0x4: btreeSplit,
	0x5: btreeInsert,
	0x6: btreeDedup,
	0x7: btreeDelete,
	0x8: btreeUnlinkPage,
	0x9: btreeUnlinkPage,
	0xA: btreeNewRoot,
	0xB: btreeMarkPageHalfDead,
	0xC: btreeVacuum,
	0xD: btreeReusePage,
	0xE: btreeMetaCleanup,
}

func btreeInsert(w *writer, rec *xlog.Record) error {
	off, err := xlog.ParseBtreeInsert(rec)
	return w.text(err, "off %d", off)
}

func btreeSplit(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeSplit(rec)
	return w.text(err, "level %d, firstrightoff %d, newitemoff %d, postingoff %d",
		x.Level, x.FirstRightOff, x.NewItemOff, x.PostingOff)
}

func btreeDedup(w *writer, rec *xlog.Record) error {
	n, err := xlog.ParseBtreeDedup(rec)
	return w.text(err, "nintervals %d", n)
}

func btreeDelete(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeDelete(rec)
	return w.text(err, "latestRemovedXid %d; ndeleted %d; nupdated %d", x.LatestRemovedXID, x.NDeleted, x.NUpdated)
}

func btreeUnlinkPage(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeUnlinkPage(rec)
	return w.text(err, "left %d; right %d; level %d; safexid %s; leafleft %d; leafright %d; leaftopparent %d",
		x.Left, x.Right, x.Level, fullXID(x.SafeXID), x.LeafLeft, x.LeafRight, x.LeafTopParent)
}

func btreeNewRoot(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeNewRoot(rec)
	return w.text(err, "lev %d", x.Level)
}

func btreeMarkPageHalfDead(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeMarkPageHalfDead(rec)
	return w.text(err, "topparent %d; leaf %d; left %d; right %d", x.TopParent, x.Leaf, x.Left, x.Right)
}

func btreeVacuum(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeVacuum(rec)
	return w.text(err, "ndeleted %d; nupdated %d", x.NDeleted, x.NUpdated)
}

func btreeReusePage(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeReusePage(rec)
	return w.text(err, "rel %v; latestRemovedXid %s", x.Rel, fullXID(x.LatestRemovedXID))
}

// btreeMetaCleanup is the one btree operation that keeps its struct with the block.
func btreeMetaCleanup(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeMetadata(rec.Block(0))
	return w.text(err, "last_cleanup_num_delpages %d", x.LastCleanupNumDelPages)
}
