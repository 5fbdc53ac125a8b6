package rmgrdesc

import (
	"fmt"

	"zenith/internal/xlog"
)

// ginDescs are gin_desc.
var ginDescs = descs{
	0x2: ginInsert,
	0x3: fixed("ginxlogSplit", 26, "isrootsplit: %s isdata: %s isleaf: %s",
		flag(24, ginSplitRoot, "T", "F"), flag(24, ginInsertIsData, "T", "F"), flag(24, ginInsertIsLeaf, "T", "F")),
	0x8: fixed("ginxlogDeleteListPages", 60, "ndeleted: %d", i32(56)),
	0x9: ginVacuumDataLeafPage,
}

// Flags of ginxlogInsert and ginxlogSplit.
const (
	ginInsertIsData = 0x01
	ginInsertIsLeaf = 0x02
	ginSplitRoot    = 0x04
)

// Kinds of ginxlogSegmentAction.
const (
	ginSegmentDelete   = 1
	ginSegmentInsert   = 2
	ginSegmentReplace  = 3
	ginSegmentAddItems = 4
)

func ginInsert(w *writer, rec *xlog.Record) error {
	if err := w.fields(rec.MainData, "ginxlogInsert", 2, "isdata: %s isleaf: %s",
		[]field{flag(0, ginInsertIsData, "T", "F"), flag(0, ginInsertIsLeaf, "T", "F")}); err != nil {
		return err
	}
	flags := rec.MainData[0]
	isLeaf := flags&ginInsertIsLeaf != 0
	if !isLeaf {
		if err := w.fields(rec.MainData, "ginxlogInsert", 10, " children: %d/%d", []field{blkID(2), blkID(6)}); err != nil {
			return err
		}
	}
	if w.ginImage(rec) {
		return nil
	}
	payload := ginPayload(rec)
	switch {
	case flags&ginInsertIsData == 0:
		return w.fields(payload, "ginxlogInsertEntry", 3, " isdelete: %s", []field{letter(2)})
	case isLeaf:
		return w.ginRecompress(payload)
	default:
		return w.fields(payload, "ginxlogInsertDataInternal", 12, " pitem: %d-%d/%d", []field{blkID(2), blkID(6), u16(10)})
	}
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
	if blk.Apply {
		w.WriteString(" (full page image)")
	} else {
		w.WriteString(" (full page image, for WAL verification)")
	}
	return true
}

// ginRecompress is desc_recompress_leaf: what happens to the posting list segments
// of a data leaf.
func (w *writer) ginRecompress(b []byte) error {
	s, err := view(b, "ginxlogRecompressDataLeaf", 2)
	if err != nil {
		return err
	}
	nactions := int(s.u16(0))
	w.printf(" %d segments:", nactions)
	rest := s[2:]
	for range nactions {
		size, err := w.ginAction(rest)
		if err != nil {
			return err
		}
		if size == 0 { // an unknown action: no telling where the next one begins
			return nil
		}
		rest = rest[size:]
	}
	return nil
}

// ginAction prints one ginxlogSegmentAction and gives its size.
func (w *writer) ginAction(b []byte) (size int, err error) {
	s, err := view(b, "ginxlogSegmentAction", 2)
	if err != nil {
		return 0, err
	}
	switch segno, action := s.u8(0), s.u8(1); action {
	case ginSegmentAddItems:
		if s, err = view(b, "ginxlogSegmentAction", 4); err != nil {
			return 0, err
		}
		size = 4 + 6*int(s.u16(2))
		w.printf(" %d (add %d items)", segno, s.u16(2))
	case ginSegmentDelete:
		size = 2
		w.printf(" %d (delete)", segno)
	case ginSegmentInsert, ginSegmentReplace:
		if s, err = view(b, "GinPostingList", 10); err != nil {
			return 0, err
		}
		size = 10 + (int(s.u16(8))+1)&^1
		w.printf(" %d (%s)", segno, ginActionNames[action])
	default:
		w.printf(" %d unknown action %d ???", segno, action)
	}
	if size > len(b) {
		return 0, fmt.Errorf("gin segment action of %d bytes in %d: %w", size, len(b), xlog.ErrCorrupt)
	}
	return size, nil
}

var ginActionNames = map[uint8]string{ginSegmentInsert: "insert", ginSegmentReplace: "replace"}
