package walredo

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// What the fixtures of GIN, GiST and SP-GiST cannot show by themselves.

// eachFixture runs a test on the fixture of that name of each major version.
func eachFixture(t *testing.T, name string, test func(t *testing.T, v *pg.Version, f fixture)) {
	t.Helper()
	found := false
	for _, f := range fixtures(t) {
		if v, err := pg.ParseMajor(f.server); err == nil && f.name == name {
			found = true
			t.Run(f.String(), func(t *testing.T) { test(t, v, f) })
		}
	}
	if !found {
		t.Skip("another -case is selected")
	}
}

// TestTreesEveryBlock sees that the fixtures redo each block of the records that have
// several: TestEveryOp is content with one.
func TestTreesEveryBlock(t *testing.T) {
	type named struct {
		rm xlog.RmgrID
		op uint8
	}
	for name, blocks := range map[string]map[named]blockSet{
		"gin": {
			{xlog.RmGin, 2}: block0 | block1,          // INSERT
			{xlog.RmGin, 3}: block3,                   // SPLIT
			{xlog.RmGin, 5}: block0 | block1 | block2, // DELETE_PAGE
			{xlog.RmGin, 6}: block0 | block1,          // UPDATE_META_PAGE
			{xlog.RmGin, 8}: block0 | block1 | block2, // DELETE_LISTPAGE
		},
		"gist": {
			{xlog.RmGist, 0}: block0 | block1,                   // PAGE_UPDATE
			{xlog.RmGist, 3}: block0 | block1 | block2 | block3, // PAGE_SPLIT
			{xlog.RmGist, 6}: block0 | block1,                   // PAGE_DELETE
		},
		"spgist": {
			{xlog.RmSPGist, 1}: block0 | block1,                   // ADD_LEAF
			{xlog.RmSPGist, 2}: block0 | block1 | block2,          // MOVE_LEAFS
			{xlog.RmSPGist, 3}: block0 | block1 | block2,          // ADD_NODE
			{xlog.RmSPGist, 4}: block0 | block1,                   // SPLIT_TUPLE
			{xlog.RmSPGist, 5}: block0 | block1 | block2 | block3, // PICKSPLIT
		},
	} {
		eachFixture(t, name, func(t *testing.T, v *pg.Version, f fixture) {
			w := newFixtureWorld()
			w.replayFixture(t, f)
			for op, want := range blocks {
				id := opID{v: v, rm: op.rm, op: op.op}
				if missing := want &^ w.covered[id].blocks; missing != 0 {
					t.Errorf("%s: blocks %b are never redone", nameOf(id), missing)
				}
			}
		})
	}
}

// TestGistAfterImage takes each left child that the fixture's records mention and gives
// the record an image of it, as if a checkpoint had begun between split and downlink: the
// result must be the same as without.
func TestGistAfterImage(t *testing.T) { eachFixture(t, "gist", gistAfterImage) }

func gistAfterImage(t *testing.T, _ *pg.Version, f fixture) {
	w := newWorld(nil, "", Cluster{LogHints: true})
	tried := map[opID]int{}
	eachRecord(t, f.wal(t).Reader(), func(rec *xlog.Record) bool {
		unknown := adopt(t, w, rec)
		_, o := lookup(rec)
		child := slices.IndexFunc(rec.Blocks, func(b xlog.BlockRef) bool {
			return o.afterImage.has(b.ID) && !unknown.has(b.ID)
		})
		var before pg.Page
		if child >= 0 {
			before = slices.Clone(w.at(rec.Blocks[child].Tag).page)
		}
		if err := w.apply(rec, unknown); err != nil {
			t.Fatal(err)
		}
		if child < 0 {
			return true
		}
		tried[opOf(rec)]++
		blk := &rec.Blocks[child]
		if nsn := gistNSN(w.at(blk.Tag).page); nsn != rec.EndLSN {
			t.Errorf("%s\n\tleft child has nsn %v, want %v", describe(rec), nsn, rec.EndLSN)
		}
		blk.HasImage, blk.Apply, blk.Image = true, true, xlog.Image{Info: xlog.ImageApply, Bytes: before}
		got := bytes.Repeat([]byte{0xA5}, pg.BlockSize)
		if err := Redo(got, blk.Tag, rec); err != nil {
			t.Fatal(err)
		}
		if d := diffPages(got, w.at(blk.Tag).page, placeOf); d != "" {
			t.Errorf("%s\n\t%s", describe(rec), d)
		}
		return true
	})
	if len(tried) != 2 {
		t.Errorf("tried %v, want PAGE_UPDATE and PAGE_SPLIT", tried)
	}
}

func gistNSN(page pg.Page) pg.LSN {
	nsn := page[gistOpaqueAt:]
	return pg.LSN(binary.LittleEndian.Uint32(nsn))<<32 | pg.LSN(binary.LittleEndian.Uint32(nsn[4:]))
}

// TestGistNSN compares what the mask hides: the NSN that the parts of a split page get.
func TestGistNSN(t *testing.T) { eachFixture(t, "gist", gistSplitNSN) }

func gistSplitNSN(t *testing.T, _ *pg.Version, f fixture) {
	w := newWorld(nil, "", Cluster{LogHints: true})
	img := make(pg.Page, pg.BlockSize)
	nsns := map[pg.LSN]bool{}
	eachRecord(t, f.wal(t).Reader(), func(rec *xlog.Record) bool {
		if err := w.apply(rec, adopt(t, w, rec)); err != nil {
			t.Fatal(err)
		}
		if rec.RmgrID != xlog.RmGist || rec.Op() != 0x30 {
			return true
		}
		for i := range rec.Blocks {
			blk := &rec.Blocks[i]
			if !blk.HasImage || blk.ID == 0 {
				continue
			}
			if err := blk.Image.Restore(img); err != nil {
				t.Fatal(err)
			}
			got, want := gistNSN(w.at(blk.Tag).page), gistNSN(img)
			if nsns[want] = true; got != want {
				t.Errorf("%s\n\tblock %d has nsn %v, want %v", describe(rec), blk.ID, got, want)
			}
		}
		return true
	})
	if len(nsns) < 3 {
		t.Errorf("only the nsns %v were seen", nsns)
	}
}

// ginItems makes n ascending item pointers.
func ginItems(rnd *rand.Rand, n int) []byte {
	var items []byte
	block, off := uint32(0), 0
	for range n {
		if off += 1 + rnd.IntN(40); off >= 1<<ginOffsetBits {
			off = 1
			block += uint32(1) << rnd.IntN(20)
		}
		items = append(items, make([]byte, pg.ItemPointerSize)...)
		pg.ItemPointer{Block: pg.BlockNumber(block), Offset: pg.OffsetNumber(off)}.Put(items[len(items)-pg.ItemPointerSize:])
	}
	return items
}

// TestGinMergeSegment packs lists and looks whether the same TIDs come out.
func TestGinMergeSegment(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		all := ginItems(rnd, 1+rnd.IntN(500))
		var old, added []byte
		for i := 0; i < len(all); i += pg.ItemPointerSize {
			item := all[i : i+pg.ItemPointerSize]
			switch rnd.IntN(3) {
			case 0:
				old = append(old, item...)
			case 1:
				added = append(added, item...)
			default: // in both: must not come out twice
				old, added = append(old, item...), append(added, item...)
			}
		}
		if len(old) == 0 {
			continue
		}
		packed, err := ginMergeSegment(make([]byte, ginSegmentRoom), ginTIDs{}, old)
		if err != nil {
			t.Fatal(err)
		}
		tids, err := newGinTIDs(packed)
		if err != nil {
			t.Fatal(err)
		}
		if packed, err = ginMergeSegment(make([]byte, ginSegmentRoom), tids, added); err != nil {
			t.Fatal(err)
		}
		if got := ginUnpack(t, packed); !bytes.Equal(got, all) {
			t.Fatalf("packed % x\nand % x\ngot % x", old, added, got)
		}
	}
}

// ginUnpack gives a segment's TIDs as item pointers.
func ginUnpack(t *testing.T, segment []byte) (items []byte) {
	t.Helper()
	if _, rest, err := xlog.CutGinPostingList(segment); err != nil || len(rest) > 0 {
		t.Fatalf("segment with %d bytes behind: %v", len(rest), err)
	}
	tids, err := newGinTIDs(segment)
	for ; err == nil && tids.val != 0; err = tids.next() {
		items = append(items, make([]byte, pg.ItemPointerSize)...)
		tid := pg.ItemPointer{Block: pg.BlockNumber(tids.val >> ginOffsetBits), Offset: pg.OffsetNumber(tids.val & (1<<ginOffsetBits - 1))}
		tid.Put(items[len(items)-pg.ItemPointerSize:])
	}
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// TestGinOldLeaf adds to a leaf in the format before 9.4, which no server makes any more.
func TestGinOldLeaf(t *testing.T) {
	items := ginItems(rand.New(rand.NewPCG(5, 6)), 300)
	page := make(pg.Page, pg.BlockSize)
	o := ginInitPage(page, ginData|ginLeaf)
	copy(page[ginDataAt:], items[:len(items)-pg.ItemPointerSize])
	o.setMaxoff(299)
	action := append([]byte{1, 0, 0, xlog.GinSegmentAddItems, 1, 0}, items[len(items)-pg.ItemPointerSize:]...)
	if err := ginRecompress(page, action); err != nil {
		t.Fatal(err)
	}
	if o.flags() != ginData|ginLeaf|ginCompressed || o.maxoff() != 0 {
		t.Errorf("flags %#x, maxoff %d", o.flags(), o.maxoff())
	}
	if got := ginUnpack(t, page[ginDataAt:page.Lower()]); !bytes.Equal(got, items) {
		t.Errorf("got % x\nwant % x", got, items)
	}
}

// TestSpgAddNodeParent moves an inner tuple to the page on which its parent is: a server
// hardly ever does.
func TestSpgAddNodeParent(t *testing.T) {
	inner := func(downlinks ...pg.ItemPointer) []byte {
		b := make([]byte, spgInnerHeader, spgInnerHeader+16*len(downlinks))
		binary.LittleEndian.PutUint32(b, uint32(len(downlinks))<<3)
		binary.LittleEndian.PutUint16(b[4:], uint16(cap(b)))
		for _, d := range downlinks {
			node := make([]byte, 16)
			d.Put(node)
			binary.LittleEndian.PutUint16(node[6:], 16)
			b = append(b, node...)
		}
		return b
	}
	a, from, to := pg.ItemPointer{Block: 9, Offset: 9}, pg.ItemPointer{Block: 4, Offset: 1}, pg.ItemPointer{Block: 7, Offset: 2}
	moved := inner(a, a, a)
	rec := &xlog.Record{V: pg.V15, RmgrID: xlog.RmSPGist, Info: 0x30, EndLSN: 0x1234, Blocks: []xlog.BlockRef{{ID: 0}, {ID: 1}}}
	for i, p := range []pg.ItemPointer{from, to} {
		rec.Blocks[i].Tag.SpcOID, rec.Blocks[i].Tag.Block = pg.DefaultTablespace, p.Block
	}
	// offnum 1, offnumNew 2, old page, parentBlk 1, offnumParent 1, nodeI 1; xid 77
	rec.MainData = append([]byte{1, 0, 2, 0, 0, 1, 1, 0, 1, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0}, moved...)

	page := make(pg.Page, pg.BlockSize)
	redo := func(blk int, tuple []byte) {
		t.Helper()
		spgInitPage(page, 0)
		if err := addItem(page, tuple, 1); err != nil {
			t.Fatal(err)
		}
		if err := Redo(page, rec.Blocks[blk].Tag, rec); err != nil {
			t.Fatal(err)
		}
	}
	check := func(off pg.OffsetNumber, want []byte) {
		t.Helper()
		if got, err := page.Item(off); err != nil || !bytes.Equal(got, want) {
			t.Errorf("item %d is % x (%v)\nwant % x", off, got, err, want)
		}
	}
	redo(1, inner(a, from))
	check(1, inner(a, to))
	check(2, moved)
	redo(0, inner(a, a))
	dead := makeSpgDeadTuple(spgRedirect, to, 77)
	check(1, dead[:])
}
