package walredo

import (
	"errors"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// record makes a decoded record of parts, for what no server would log.
func record(rm xlog.RmgrID, info uint8, main []byte, blocks ...xlog.BlockRef) *xlog.Record {
	return &xlog.Record{V: pg.V15, StartLSN: 0x1000, EndLSN: 0x1040, XID: 700, RmgrID: rm, Info: info, MainData: main, Blocks: blocks}
}

func relTag(fork pg.ForkNumber, block pg.BlockNumber) pg.BufferTag {
	return pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1663, DBOID: 5, RelNumber: 16384}, Fork: fork}.Tag(block)
}

func emptyPage() pg.Page {
	p := make(pg.Page, pg.BlockSize)
	p.Init(0)
	return p
}

func TestRefused(t *testing.T) {
	heap := relTag(pg.MainFork, 7)
	block := xlog.BlockRef{Tag: heap, HasData: true, Data: []byte{3, 0, 2, 8, 24, 0, 1, 2, 3}}
	insert := []byte{1, 0, 0}
	broken := emptyPage()
	broken.SetUpper(9000)
	tests := []struct {
		name string
		page pg.Page
		tag  pg.BufferTag
		rec  *xlog.Record
		want error
		text string
	}{
		{"short record", emptyPage(), heap, record(xlog.RmHeap, 0x00, insert[:2], block), ErrCorrupt, "Heap/INSERT at 0/1000, 1663/5/16384 block 7: xl_heap_insert is 2 bytes, want 3"},
		{"new page", make(pg.Page, pg.BlockSize), heap, record(xlog.RmHeap, 0x00, insert, block), ErrCorrupt, "never initialised"},
		{"broken page", broken, heap, record(xlog.RmHeap, 0x00, insert, block), ErrCorrupt, "page header has lower 24, upper 9000"},
		{"short page", emptyPage()[:100], heap, record(xlog.RmHeap, 0x00, insert, block), ErrCorrupt, "page of 100 bytes"},
		{"another page", emptyPage(), relTag(pg.MainFork, 8), record(xlog.RmHeap, 0x00, insert, block), ErrCorrupt, "does not change the page"},
		{"map not touched", emptyPage(), relTag(pg.VisibilityMapFork, 0), record(xlog.RmHeap, 0x00, insert, block), ErrCorrupt, "does not change the page"},
		{"no such op", emptyPage(), heap, record(xlog.RmBtree, 0xF0, nil, block), ErrUnsupported, "Btree/UNKNOWN (f0)"},
		{"extension", emptyPage(), heap, record(200, 0x10, nil, block), ErrUnsupported, "custom200/UNKNOWN (10) at 0/1000, 1663/5/16384 block 7: unknown resource manager 200"},
		{"op without blocks", emptyPage(), heap, record(xlog.RmHeap, 0x30, nil, block), ErrUnsupported, "Heap/TRUNCATE"},
		{"image that is none", emptyPage(), heap, record(xlog.RmXLOG, 0xB0, nil, xlog.BlockRef{Tag: heap, HasImage: true, Apply: true}), ErrCorrupt, "image of block 0"},
		{"no image", emptyPage(), heap, record(xlog.RmXLOG, 0xB0, nil, xlog.BlockRef{Tag: heap}), ErrCorrupt, "no full-page image"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := Redo(test.page, test.tag, test.rec)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want %v with %q", err, test.want, test.text)
			}
		})
	}
}

// TestImage restores images of an ordinary page and of an all-zero one, which must stay so.
func TestImage(t *testing.T) {
	tag := relTag(pg.MainFork, 3)
	for name, image := range map[string]pg.Page{"page": emptyPage(), "zeros": make(pg.Page, pg.BlockSize)} {
		rec := record(xlog.RmXLOG, 0xB0, nil, xlog.BlockRef{Tag: tag, HasImage: true, Apply: true, Image: xlog.Image{Bytes: image}})
		page := make(pg.Page, pg.BlockSize)
		if err := Redo(page, tag, rec); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := append(pg.Page(nil), image...)
		if name == "page" {
			want.SetLSN(rec.EndLSN)
		}
		if d := diffPages(page, want, placeOf); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	// A hint's record without image changes nothing.
	page := emptyPage()
	if err := Redo(page, tag, record(xlog.RmXLOG, 0xA0, nil, xlog.BlockRef{Tag: tag})); err != nil || page.LSN() != 0 {
		t.Errorf("hint without image: page LSN %v, %v", page.LSN(), err)
	}
}

// TestTouchesOnce sees that an update whose two blocks have their bits on one page of
// the map reports it once, and clears both.
func TestTouchesOnce(t *testing.T) {
	main := make([]byte, 14)
	main[7] = xlhUpdateOldAllVisibleCleared | xlhUpdateNewAllVisibleCleared
	rec := record(xlog.RmHeap, 0x20, main,
		xlog.BlockRef{ID: 0, Tag: relTag(pg.MainFork, 9)}, xlog.BlockRef{ID: 1, Tag: relTag(pg.MainFork, 2)})
	var got []pg.BufferTag
	if err := Touches(rec, func(tag pg.BufferTag) { got = append(got, tag) }); err != nil {
		t.Fatal(err)
	}
	vm := relTag(pg.VisibilityMapFork, 0)
	if len(got) != 1 || got[0] != vm {
		t.Fatalf("got %v, want %v", got, vm)
	}
	page := emptyPage()
	for i := range 4 {
		page[pg.PageHeaderSize+i] = 0xFF
	}
	if err := Redo(page, vm, rec); err != nil {
		t.Fatal(err)
	}
	if got, want := page[pg.PageHeaderSize:][:4], []byte{0xCF, 0xFF, 0xF3, 0xFF}; string(got) != string(want) || page.LSN() != 0 {
		t.Errorf("got % X with LSN %v, want % X with 0", got, page.LSN(), want)
	}
	// Apart by more than a page of the map: two pages.
	rec.Blocks[0].Tag.Block = 2 + vmBlocksPerPage
	got = nil
	if err := Touches(rec, func(tag pg.BufferTag) { got = append(got, tag) }); err != nil || len(got) != 2 {
		t.Errorf("got %v, %v, want two pages", got, err)
	}
}

// TestRegisteredMap redoes heap records that register the pages of the visibility map on
// which they clear bits, as servers of 17.11, 18.6 and later do. PostgreSQL 15 never does.
func TestRegisteredMap(t *testing.T) {
	full := emptyPage()
	for i := pg.PageHeaderSize; i < len(full); i++ {
		full[i] = 0xFF
	}
	update := make([]byte, 14)
	update[7] = xlhUpdateOldAllVisibleCleared | xlhUpdateNewAllVisibleCleared
	far := pg.BlockNumber(vmBlocksPerPage)
	block := func(id uint8, fork pg.ForkNumber, block pg.BlockNumber) xlog.BlockRef {
		return xlog.BlockRef{ID: id, Tag: relTag(fork, block)}
	}
	for _, test := range []struct {
		name  string
		rec   *xlog.Record
		page  pg.Page
		block pg.BlockNumber // of the map
		want  []byte         // its first bytes
		moved bool           // pd_lsn is the record's
	}{
		{"insert", record(xlog.RmHeap, 0x00, []byte{1, 0, xlhInsertAllVisibleCleared}, block(0, pg.MainFork, 6), block(1, pg.VisibilityMapFork, 0)),
			full, 0, []byte{0xFF, 0xCF}, true},
		{"bits are clear", record(xlog.RmHeap, 0x00, []byte{1, 0, xlhInsertAllVisibleCleared}, block(0, pg.MainFork, 6), block(1, pg.VisibilityMapFork, 0)),
			emptyPage(), 0, []byte{0, 0}, false},
		{"new page", record(xlog.RmHeap, 0x00, []byte{1, 0, xlhInsertAllVisibleCleared}, block(0, pg.MainFork, 6), block(1, pg.VisibilityMapFork, 0)),
			make(pg.Page, pg.BlockSize), 0, []byte{0, 0}, false},
		{"lock", record(xlog.RmHeap, 0x60, []byte{0, 0, 0, 0, 1, 0, 0, xlhLockAllFrozenCleared}, block(0, pg.MainFork, 1), block(1, pg.VisibilityMapFork, 0)),
			full, 0, []byte{0xF7}, true},
		{"multi insert", record(xlog.RmHeap2, 0x50, []byte{xlhInsertAllVisibleCleared, 0, 0, 0}, block(0, pg.MainFork, far+1), block(1, pg.VisibilityMapFork, 1)),
			full, 1, []byte{0xF3}, true},
		{"update, both on one page", record(xlog.RmHeap, 0x20, update, block(0, pg.MainFork, 3), block(1, pg.MainFork, 1), block(2, pg.VisibilityMapFork, 0)),
			full, 0, []byte{0x33}, true},
		{"update, the new one's", record(xlog.RmHeap, 0x20, update, block(0, pg.MainFork, far), block(1, pg.MainFork, 1), block(2, pg.VisibilityMapFork, 1), block(3, pg.VisibilityMapFork, 0)),
			full, 1, []byte{0xFC}, true},
		{"update, the old one's", record(xlog.RmHeap, 0x20, update, block(0, pg.MainFork, far), block(1, pg.MainFork, 1), block(2, pg.VisibilityMapFork, 1), block(3, pg.VisibilityMapFork, 0)),
			full, 0, []byte{0xF3}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := Touches(test.rec, func(tag pg.BufferTag) { t.Errorf("%v is registered, and touched besides", tag) }); err != nil {
				t.Fatal(err)
			}
			page := append(pg.Page(nil), test.page...)
			if err := Redo(page, relTag(pg.VisibilityMapFork, test.block), test.rec); err != nil {
				t.Fatal(err)
			}
			if got := page[pg.PageHeaderSize:][:len(test.want)]; string(got) != string(test.want) {
				t.Errorf("got % X, want % X", got, test.want)
			}
			if moved := page.LSN() == test.rec.EndLSN; moved != test.moved || page.IsNew() {
				t.Errorf("page LSN %v, new %v; moved is to be %v", page.LSN(), page.IsNew(), test.moved)
			}
		})
	}
	// An image replaces the page, and there is nothing else to do.
	rec := record(xlog.RmHeap, 0x00, []byte{1, 0, xlhInsertAllVisibleCleared}, block(0, pg.MainFork, 6),
		xlog.BlockRef{ID: 1, Tag: relTag(pg.VisibilityMapFork, 0), HasImage: true, Apply: true, Image: xlog.Image{Bytes: full}})
	page := emptyPage()
	if err := Redo(page, relTag(pg.VisibilityMapFork, 0), rec); err != nil || page[pg.PageHeaderSize+1] != 0xFF || page.LSN() != rec.EndLSN {
		t.Errorf("image: % X, page LSN %v, %v", page[pg.PageHeaderSize:][:2], page.LSN(), err)
	}
}

// TestMultixactWraps sees that neither the id nor the offset behind the last is 0.
func TestMultixactWraps(t *testing.T) {
	main := []byte{
		0xFF, 0xFF, 0xFF, 0xFF, // mid
		0xFE, 0xFF, 0xFF, 0xFF, // moff
		2, 0, 0, 0, // members
		10, 0, 0, 0, 4, 0, 0, 0,
		11, 0, 0, 0, 5, 0, 0, 0,
	}
	rec := record(xlog.RmMultiXact, 0x20, main)
	pages := map[pg.BufferTag]pg.Page{}
	if err := Touches(rec, func(tag pg.BufferTag) { pages[tag] = make(pg.Page, pg.BlockSize) }); err != nil {
		t.Fatal(err)
	}
	for tag, page := range pages {
		if err := Redo(page, tag, rec); err != nil {
			t.Fatal(err)
		}
	}
	first := pages[pg.SLRUMultiOffsets.Page(0)]
	last := pages[pg.SLRUMultiOffsets.Page(0xFFFFFFFF/pg.V15.MultiOffsetsPerPage())]
	if first == nil || last == nil || len(pages) != 3 {
		t.Fatalf("touched %v", pages)
	}
	if first[4] != 1 || last[pg.BlockSize-4] != 0xFE {
		t.Errorf("offset of id 1 is %d, that of the last % x", first[4], last[pg.BlockSize-4:])
	}
}
