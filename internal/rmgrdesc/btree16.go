package rmgrdesc

import "zenith/internal/xlog"

// btreeDescs16 are btree_desc since 16.
var btreeDescs16 = descs{
	0x0: btreeInsert16,
	0x1: btreeInsert16,
	0x2: btreeInsert16,
	0x3: btreeSplit16,
	0x4: btreeSplit16,
	0x5: btreeInsert16,
	0x6: btreeDedup16,
	0x7: btreeDelete16,
	0x8: btreeUnlinkPage16,
	0x9: btreeUnlinkPage16,
	0xA: btreeNewRoot16,
	0xB: btreeMarkPageHalfDead16,
	0xC: btreeVacuum16,
	0xD: btreeReusePage16,
	0xE: btreeMetaCleanup16,
}

func btreeInsert16(w *writer, rec *xlog.Record) error {
	off, err := xlog.ParseBtreeInsert(rec)
	return w.text(err, "off: %d", off)
}

func btreeSplit16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeSplit(rec)
	return w.text(err, "level: %d, firstrightoff: %d, newitemoff: %d, postingoff: %d",
		x.Level, x.FirstRightOff, x.NewItemOff, x.PostingOff)
}

func btreeDedup16(w *writer, rec *xlog.Record) error {
	n, err := xlog.ParseBtreeDedup(rec)
	return w.text(err, "nintervals: %d", n)
}

func btreeDelete16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeDelete(rec)
	if err != nil {
		return err
	}
	w.printf("snapshotConflictHorizon: %d, ndeleted: %d, nupdated: %d", x.LatestRemovedXID, x.NDeleted, x.NUpdated)
	w.catalogRel("isCatalogRel:", x.CatalogRel)
	return w.deletedItems(rec, x.BtreeVacuum)
}

func btreeVacuum16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeVacuum(rec)
	if err != nil {
		return err
	}
	w.printf("ndeleted: %d, nupdated: %d", x.NDeleted, x.NUpdated)
	return w.deletedItems(rec, x)
}

// deletedItems is delvacuum_desc: the items that go, and those that lose some TIDs of their posting lists.
func (w *writer) deletedItems(rec *xlog.Record, x xlog.BtreeVacuum) error {
	data, ok := blockData(rec)
	if !ok {
		return nil
	}
	deleted, rest, err := xlog.CutOffsets(data, x.NDeleted)
	if err != nil {
		return err
	}
	updated, rest, err := xlog.CutOffsets(rest, x.NUpdated)
	if err != nil {
		return err
	}
	w.offsets("deleted", deleted)
	w.array("updated", updated.Len(), func(i int) {
		if err != nil {
			return
		}
		var tids xlog.Offsets
		if tids, rest, err = xlog.CutBtreeUpdate(rest); err != nil {
			return
		}
		w.printf("{ off: %d, nptids: %d", updated.At(i), tids.Len())
		w.offsets("ptids", tids)
		w.WriteString(" }")
	})
	return err
}

func btreeUnlinkPage16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeUnlinkPage(rec)
	return w.text(err, "left: %d, right: %d, level: %d, safexid: %s, leafleft: %d, leafright: %d, leaftopparent: %d",
		x.Left, x.Right, x.Level, fullXID(x.SafeXID), x.LeafLeft, x.LeafRight, x.LeafTopParent)
}

func btreeNewRoot16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeNewRoot(rec)
	return w.text(err, "level: %d", x.Level)
}

func btreeMarkPageHalfDead16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeMarkPageHalfDead(rec)
	return w.text(err, "topparent: %d, leaf: %d, left: %d, right: %d", x.TopParent, x.Leaf, x.Left, x.Right)
}

func btreeReusePage16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeReusePage(rec)
	if err != nil {
		return err
	}
	w.printf("rel: %v, snapshotConflictHorizon: %s", x.Rel, fullXID(x.LatestRemovedXID))
	w.catalogRel("isCatalogRel:", x.CatalogRel)
	return nil
}

func btreeMetaCleanup16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseBtreeMetadata(rec.Block(0))
	return w.text(err, "last_cleanup_num_delpages: %d", x.LastCleanupNumDelPages)
}
