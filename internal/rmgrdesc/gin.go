package rmgrdesc

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// ginDescs are gin_desc.
var ginDescs = descs{
	0x2: ginInsert,
	0x3: ginSplit,
	0x8: ginDeleteListPages,
	0x9: ginVacuumDataLeafPage,
}

func ginInsert(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseGinInsert(rec)
	if err != nil {
		return err
	}
	w.printf("isdata: %s isleaf: %s", letter(x.IsData()), letter(x.IsLeaf()))
	if !x.IsLeaf() {
		w.printf(" children: %d/%d", x.LeftChild, x.RightChild)
	}
	switch {
	case w.ginImage(rec):
		return nil
	case !x.IsData():
		e, err := xlog.ParseGinInsertEntry(ginPayload(rec))
		return w.text(err, " isdelete: %s", letter(e.IsDelete))
	case x.IsLeaf():
		return w.ginRecompress(ginPayload(rec))
	default:
		d, err := xlog.ParseGinInsertDataInternal(ginPayload(rec))
		return w.text(err, " pitem: %d-%d/%d", d.Child, d.Key.Block, d.Key.Offset)
	}
}

func ginSplit(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseGinSplit(rec)
	return w.text(err, "isrootsplit: %s isdata: %s isleaf: %s", letter(x.IsRootSplit()), letter(x.IsData()), letter(x.IsLeaf()))
}

func ginDeleteListPages(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseGinDeleteListPages(rec)
	return w.text(err, "ndeleted: %d", x.NDeleted)
}

func ginVacuumDataLeafPage(w *writer, rec *xlog.Record) error {
	if w.ginImage(rec) {
		return nil
	}
	return w.ginRecompress(ginPayload(rec))
}

// ginPayload gives the data of block 0.
func ginPayload(rec *xlog.Record) []byte {
	if blk := rec.Block(0); blk != nil {
		return blk.Data
	}
	return nil
}

// ginImage notes a page image, instead of which there is no block data to describe.
func (w *writer) ginImage(rec *xlog.Record) bool {
	blk := rec.Block(0)
	if blk == nil || !blk.HasImage {
		return false
	}
	if !w.style.noImageNote {
		w.WriteString(pick(blk.Apply, " (full page image)", " (full page image, for WAL verification)"))
	}
	return true
}

// ginRecompress is desc_recompress_leaf: what happens to the posting list segments
// of a data leaf.
func (w *writer) ginRecompress(data []byte) error {
	x, err := xlog.ParseGinRecompressDataLeaf(data)
	if err != nil {
		return err
	}
	w.printf(" %d segments:", x.NActions)
	rest := x.Actions
	for range x.NActions {
		var a xlog.GinSegmentAction
		if a, rest, err = xlog.CutGinSegmentAction(rest); err != nil {
			return err
		}
		switch a.Kind {
		case xlog.GinSegmentAddItems:
			w.printf(" %d (add %d items)", a.Segno, len(a.Items)/pg.ItemPointerSize)
		case xlog.GinSegmentDelete:
			w.printf(" %d (delete)", a.Segno)
		case xlog.GinSegmentInsert:
			w.printf(" %d (insert)", a.Segno)
		case xlog.GinSegmentReplace:
			w.printf(" %d (replace)", a.Segno)
		default:
			w.printf(" %d unknown action %d ???", a.Segno, a.Kind)
			return nil
		}
	}
	return nil
}
