package rmgrdesc

import "zenith/internal/xlog"

// rmgrs16 is PostgreSQL 16: its lines have a colon behind each name and a comma between the members, and list the
// items that a record is about.
var rmgrs16 = rmgrs15.with(rmgrs{
	xlog.RmHeap:    &heapDescs16,
	xlog.RmHeap2:   heap2Descs16,
	xlog.RmBtree:   &btreeDescs16,
	xlog.RmGist:    gistDescs.with(descs{0x1: gistDelete16, 0x2: gistPageReuse16}),
	xlog.RmHash:    hashDescs.with(descs{0xC: hashVacuumOnePage16}),
	xlog.RmSPGist:  spgistDescs.with(descs{0x8: spgVacuumRedirect16}),
	xlog.RmStandby: standbyDescs.with(descs{xlog.StandbyRunningXacts >> 4: runningXacts16}),
})

// offsets writes a list of item numbers (array_desc with offset_elem_desc).
func (w *writer) offsets(name string, items xlog.Offsets) {
	w.array(name, items.Len(), func(i int) { w.printf("%d", items.At(i)) })
}

// redirects writes a list of pairs of item numbers.
func (w *writer) redirects(name string, pairs xlog.Offsets) {
	w.array(name, pairs.Len()/2, func(i int) { w.printf("%d->%d", pairs.At(2*i), pairs.At(2*i+1)) })
}

// array is array_desc: print writes the element at i.
func (w *writer) array(name string, n int, print func(i int)) {
	w.printf(", %s: [", name)
	for i := range n {
		if i > 0 {
			w.WriteString(", ")
		}
		print(i)
	}
	w.WriteByte(']')
}

// catalogRel writes whether the relation is a catalog, behind name. 16 logs it and does not print it.
func (w *writer) catalogRel(name string, v bool) {
	if w.style.catalogRel {
		w.printf(", %s %s", name, letter(v))
	}
}

func gistDelete16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseGistDelete(rec)
	if err != nil {
		return err
	}
	w.printf("delete: snapshotConflictHorizon %d, nitems: %d", x.LatestRemovedXID, x.ToDelete.Len())
	w.catalogRel("isCatalogRel", x.CatalogRel)
	return nil
}

func gistPageReuse16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseGistPageReuse(rec)
	if err != nil {
		return err
	}
	w.printf("rel %v; blk %d; snapshotConflictHorizon %s", x.Rel, x.Block, fullXID(x.LatestRemovedXID))
	w.catalogRel("isCatalogRel", x.CatalogRel)
	return nil
}

func hashVacuumOnePage16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHashVacuumOnePage(rec)
	if err != nil {
		return err
	}
	w.printf("ntuples %d, snapshotConflictHorizon %d", x.NTuples, x.LatestRemovedXID)
	w.catalogRel("isCatalogRel", x.CatalogRel)
	return nil
}

func spgVacuumRedirect16(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseSpgVacuumRedirect(rec)
	if err != nil {
		return err
	}
	w.printf("ntoplaceholder: %d, firstplaceholder: %d, snapshotConflictHorizon: %d",
		x.ToPlaceholder.Len(), x.FirstPlaceholder, x.NewestRedirectXID)
	w.catalogRel("isCatalogRel:", x.CatalogRel)
	return nil
}

func runningXacts16(w *writer, rec *xlog.Record) error {
	x, err := topXacts(w, rec, "subxid overflowed")
	if err != nil {
		return err
	}
	if n := x.SubXIDs.Len(); n > 0 {
		w.printf("; %d subxacts:", n)
		w.xids(x.SubXIDs)
	}
	return nil
}
