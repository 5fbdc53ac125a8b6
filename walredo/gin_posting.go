package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// A posting list segment (GinPostingList) holds ascending heap TIDs: the first one
// as it is, then the differences of the others to the one before, as numbers of
// block<<11 | offset in varbyte code (7 bits a byte, low ones first, the top bit set
// where more follow), padded to an even length:
//
//	first ItemPointerData | nbytes u16 | bytes ... [0]
const (
	ginSegmentHeader = xlog.GinPostingListHeader
	ginOffsetBits    = 11 // MaxHeapTuplesPerPageBits
	ginMaxVarbyte    = 7  // MaxBytesPerInteger
)

// ginRecompress is ginRedoRecompress. The page's segments are read from a copy and
// written back in order, so that the bytes behind the new end stay what they were, as in
// the original.
func ginRecompress(page pg.Page, data []byte) error {
	x, err := xlog.ParseGinRecompressDataLeaf(data)
	if err != nil {
		return err
	}
	o, err := ginOpaque(page)
	if err != nil {
		return err
	}
	if o.flags()&(ginData|ginLeaf) != ginData|ginLeaf {
		return corrupt("gin page with flags %#x is no data leaf", o.flags())
	}
	if o.flags()&ginCompressed == 0 {
		if err := ginConvertLeaf(page, o); err != nil {
			return err
		}
	}
	lower := int(page.Lower())
	if lower < ginDataAt || lower > ginOpaqueAt {
		return corrupt("posting lists end at %d", lower)
	}
	if x.NActions == 0 {
		return corrupt("ginxlogRecompressDataLeaf without actions")
	}
	var scratch [ginDataMaxSize]byte
	w := ginLeafWriter{page: page, at: ginDataAt, segments: scratch[:copy(scratch[:], page[ginDataAt:lower])]}
	rest := x.Actions
	for range x.NActions {
		var a xlog.GinSegmentAction
		if a, rest, err = xlog.CutGinSegmentAction(rest); err != nil {
			return err
		}
		if err := w.do(&a); err != nil {
			return err
		}
	}
	if err := w.put(w.old()); err != nil {
		return err
	}
	page.SetLower(uint16(w.at))
	return nil
}

// ginConvertLeaf rewrites a leaf of the format before PostgreSQL 9.4, an array of
// item pointers, as one segment.
func ginConvertLeaf(page pg.Page, o ginPageOpaque) error {
	n := o.maxoff() * pg.ItemPointerSize
	if n > ginDataMaxSize {
		return corrupt("gin leaf of %d items", o.maxoff())
	}
	var scratch [ginDataMaxSize]byte
	items := scratch[:copy(scratch[:], page[ginDataAt:ginDataAt+n])]
	w := ginLeafWriter{page: page, at: ginDataAt}
	if n > 0 {
		var buf [ginSegmentRoom]byte
		segment, err := ginMergeSegment(buf[:], ginTIDs{}, items)
		if err != nil {
			return err
		}
		if err := w.put(segment); err != nil {
			return err
		}
	}
	page.SetLower(uint16(w.at))
	o.addFlags(ginCompressed)
	o.setMaxoff(0)
	return nil
}

// ginLeafWriter writes a leaf's segments anew. It counts through the old ones, for a
// slice that were cut through the pointer would take the caller's scratch to the heap.
type ginLeafWriter struct {
	page     pg.Page
	at       int    // where the next segment goes
	segments []byte // the old segments
	done     int    // bytes of them that are dealt with
	segno    int    // the number of the first that is not
}

// old is the old segments that are not dealt with.
func (w *ginLeafWriter) old() []byte { return w.segments[w.done:] }

// put writes finished segments.
func (w *ginLeafWriter) put(segments []byte) error {
	if w.at+len(segments) > ginOpaqueAt {
		return corrupt("posting lists of %d bytes do not fit at %d", len(segments), w.at)
	}
	w.at += copy(w.page[w.at:], segments)
	return nil
}

// next takes the next old segment.
func (w *ginLeafWriter) next() (segment []byte, err error) {
	segment, _, err = xlog.CutGinPostingList(w.old())
	w.done += len(segment)
	w.segno++
	return segment, err
}

// do keeps the old segments before the action's, then does the action.
func (w *ginLeafWriter) do(a *xlog.GinSegmentAction) error {
	if w.segno > int(a.Segno) {
		return corrupt("gin segment action for %d after %d", a.Segno, w.segno-1)
	}
	for w.segno < int(a.Segno) {
		segment, err := w.next()
		if err != nil {
			return err
		}
		if err := w.put(segment); err != nil {
			return err
		}
	}
	if a.Kind == xlog.GinSegmentInsert { // before the old segment of that number
		return w.put(a.Segment)
	}
	old, err := w.next()
	if err != nil {
		return err
	}
	switch a.Kind {
	case xlog.GinSegmentReplace:
		return w.put(a.Segment)
	case xlog.GinSegmentAddItems:
		return w.addItems(old, a.Items)
	case xlog.GinSegmentDelete:
		return nil
	default:
		return corrupt("gin segment action %d", a.Kind)
	}
}

// addItems writes the old segment with more items.
func (w *ginLeafWriter) addItems(old, items []byte) error {
	tids, err := newGinTIDs(old)
	if err != nil {
		return err
	}
	var buf [ginSegmentRoom]byte
	segment, err := ginMergeSegment(buf[:], tids, items)
	if err != nil {
		return err
	}
	return w.put(segment)
}

// ginTIDNumber is itemptr_to_uint64 of the item pointer that b starts with.
func ginTIDNumber(b []byte) (uint64, error) {
	t := pg.GetItemPointer(b)
	if t.Offset == 0 || t.Offset >= 1<<ginOffsetBits {
		return 0, corrupt("heap tid %v in a posting list", t)
	}
	return uint64(t.Block)<<ginOffsetBits | uint64(t.Offset), nil
}

// ginTIDs reads the heap TIDs of a segment as numbers, as ginPostingListDecode does.
// The zero value is an empty list.
type ginTIDs struct {
	val  uint64 // the current one; 0: there are no more
	rest []byte
}

func newGinTIDs(segment []byte) (ginTIDs, error) {
	val, err := ginTIDNumber(segment)
	n := int(binary.LittleEndian.Uint16(segment[6:]))
	return ginTIDs{val: val, rest: segment[ginSegmentHeader : ginSegmentHeader+n]}, err
}

// next goes on to the next TID. Go's uvarint is GIN's varbyte code.
func (r *ginTIDs) next() error {
	if len(r.rest) == 0 {
		r.val = 0
		return nil
	}
	delta, n := binary.Uvarint(r.rest)
	if n <= 0 || n > ginMaxVarbyte {
		return corrupt("varbyte number in the last %d bytes of a posting list", len(r.rest))
	}
	r.val += delta
	r.rest = r.rest[n:]
	return nil
}

// ginSegmentRoom is the room that a ginSegmentEncoder needs: for the longest segment, and
// a number that makes it too long.
const ginSegmentRoom = ginSegmentHeader + ginDataMaxSize + binary.MaxVarintLen64 + 1

// ginSegmentEncoder makes a segment (ginCompressPostingList) in buf, which has
// ginSegmentRoom.
type ginSegmentEncoder struct {
	buf  []byte
	n    int    // bytes of numbers
	prev uint64 // the last TID; 0: there is none yet
}

// add appends a TID.
func (e *ginSegmentEncoder) add(val uint64) error {
	if val <= e.prev || val>>ginOffsetBits > uint64(pg.InvalidBlockNumber) {
		return corrupt("posting list goes from %#x to %#x", e.prev, val)
	}
	if e.prev == 0 {
		first := pg.ItemPointer{Block: pg.BlockNumber(val >> ginOffsetBits), Offset: pg.OffsetNumber(val & (1<<ginOffsetBits - 1))}
		first.Put(e.buf)
	} else {
		e.n += binary.PutUvarint(e.buf[ginSegmentHeader+e.n:], val-e.prev)
	}
	e.prev = val
	if e.n > ginDataMaxSize {
		return corrupt("posting list segment of %d bytes", e.n)
	}
	return nil
}

// finish gives the segment, padded.
func (e *ginSegmentEncoder) finish() ([]byte, error) {
	if e.prev == 0 {
		return nil, corrupt("posting list segment without a heap tid")
	}
	binary.LittleEndian.PutUint16(e.buf[6:], uint16(e.n))
	end := ginSegmentHeader + e.n
	if e.n%2 != 0 {
		e.buf[end] = 0
		end++
	}
	return e.buf[:end], nil
}

// ginMergeSegment makes, in buf, which has ginSegmentRoom, the segment of two ascending
// lists: the TIDs of a segment and an array of item pointers. What is in both is in
// it once (ginMergeItemPointers).
func ginMergeSegment(buf []byte, tids ginTIDs, items []byte) ([]byte, error) {
	enc := ginSegmentEncoder{buf: buf}
	for tids.val != 0 || len(items) > 0 {
		val := tids.val
		if len(items) > 0 {
			item, err := ginTIDNumber(items)
			if err != nil {
				return nil, err
			}
			if val == 0 || item <= val {
				val, items = item, items[pg.ItemPointerSize:]
			}
		}
		if err := enc.add(val); err != nil {
			return nil, err
		}
		if val == tids.val {
			if err := tids.next(); err != nil {
				return nil, err
			}
		}
	}
	return enc.finish()
}
