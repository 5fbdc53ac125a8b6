package rmgrdesc

import "zenith/internal/xlog"

// spgistDescs are spg_desc.
var spgistDescs = descs{
	0x1: spgAddLeaf,
	0x2: spgMoveLeafs,
	0x3: spgAddNode,
	0x4: spgSplitTuple,
	0x5: spgPickSplit,
	0x6: spgVacuumLeaf,
	0x7: spgVacuumRoot,
	0x8: spgVacuumRedirect,
}

func spgAddLeaf(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseSpgAddLeaf(rec)
	return w.text(err, "off: %d, headoff: %d, parentoff: %d, nodeI: %d%s%s",
		x.Off, x.HeadOff, x.ParentOff, x.NodeI, note(x.NewPage, "newpage"), note(x.StoresNulls, "nulls"))
}

func spgMoveLeafs(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseSpgMoveLeafs(rec)
	return w.text(err, "nmoves: %d, parentoff: %d, nodeI: %d%s%s%s", x.NMoves, x.ParentOff, x.NodeI,
		note(x.NewPage, "newpage"), note(x.ReplaceDead, "replacedead"), note(x.StoresNulls, "nulls"))
}

func spgAddNode(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseSpgAddNode(rec)
	return w.text(err, "off: %d, newoff: %d, parentBlk: %d, parentoff: %d, nodeI: %d%s",
		x.Off, x.NewOff, x.ParentBlk, x.ParentOff, x.NodeI, note(x.NewPage, "newpage"))
}

func spgSplitTuple(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseSpgSplitTuple(rec)
	return w.text(err, "prefixoff: %d, postfixoff: %d%s%s",
		x.PrefixOff, x.PostfixOff, note(x.NewPage, "newpage"), note(x.SameBlock, "same"))
}

func spgPickSplit(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseSpgPickSplit(rec)
	return w.text(err, "ndelete: %d, ninsert: %d, inneroff: %d, parentoff: %d, nodeI: %d%s%s%s",
		x.NDelete, x.NInsert, x.InnerOff, x.ParentOff, x.NodeI,
		note(x.InnerIsParent, "innerIsParent"), note(x.StoresNulls, "nulls"), note(x.IsRootSplit, "isRootSplit"))
}

func spgVacuumLeaf(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseSpgVacuumLeaf(rec)
	return w.text(err, "ndead: %d, nplaceholder: %d, nmove: %d, nchain: %d", x.NDead, x.NPlaceholder, x.NMove, x.NChain)
}

func spgVacuumRoot(w *writer, rec *xlog.Record) error {
	items, err := xlog.ParseSpgVacuumRoot(rec)
	return w.text(err, "ndelete: %d", items.Len())
}

func spgVacuumRedirect(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseSpgVacuumRedirect(rec)
	return w.text(err, "ntoplaceholder: %d, firstplaceholder: %d, newestredirectxid: %d",
		x.ToPlaceholder.Len(), x.FirstPlaceholder, x.NewestRedirectXID)
}

// note gives a remark in parentheses for a bool that is set, or nothing.
func note(v bool, text string) string { return pick(v, " ("+text+")", "") }
