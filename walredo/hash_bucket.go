package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Here are the hash records that change the tuples of buckets; hash_pages.go has
// those that give and take pages.

// xlHashInsert is xl_hash_insert.
type xlHashInsert struct {
	offnum pg.OffsetNumber
}

const sizeofXLHashInsert = 2

func parseXLHashInsert(b []byte) (xlHashInsert, error) {
	if len(b) < sizeofXLHashInsert {
		return xlHashInsert{}, corrupt("xl_hash_insert is %d bytes, want %d", len(b), sizeofXLHashInsert)
	}
	return xlHashInsert{offnum: pg.OffsetNumber(binary.LittleEndian.Uint16(b))}, nil
}

// hashInsert is hash_xlog_insert: block 0 gets the tuple, block 1 is the metapage.
func hashInsert(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	if blk.ID != 0 {
		return hashCountTuples(page, 1)
	}
	xl, err := parseXLHashInsert(rec.MainData)
	if err != nil {
		return err
	}
	return addItem(page, blk.Data, xl.offnum)
}

// hashCountTuples adds n to the metapage's number of tuples.
func hashCountTuples(page pg.Page, n float64) error {
	m, err := hashPageMeta(page)
	if err != nil {
		return err
	}
	m.setNTuples(m.nTuples() + n)
	return nil
}

// xlHashMovePageContents is xl_hash_move_page_contents. That the bucket's first page
// is the one written to (then there is no block 0) matters to locking only.
type xlHashMovePageContents struct {
	nTuples int
}

const sizeofXLHashMovePageContents = 3

func parseXLHashMovePageContents(b []byte) (xlHashMovePageContents, error) {
	if len(b) < sizeofXLHashMovePageContents {
		return xlHashMovePageContents{}, corrupt("xl_hash_move_page_contents is %d bytes, want %d",
			len(b), sizeofXLHashMovePageContents)
	}
	return xlHashMovePageContents{nTuples: int(binary.LittleEndian.Uint16(b))}, nil
}

// hashMovePageContents is hash_xlog_move_page_contents: block 1 gets tuples that
// block 2 loses.
func hashMovePageContents(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := parseXLHashMovePageContents(rec.MainData)
	if err != nil {
		return err
	}
	if blk.ID == 1 {
		return hashAddTuples(page, blk.Data, xl.nTuples)
	}
	return indexMultiDelete(page, offsets(blk.Data))
}

// hashAddTuples adds n tuples: data is their item numbers, then the tuples.
func hashAddTuples(page pg.Page, data []byte, n int) error {
	if n == 0 {
		return nil
	}
	offs, data, err := cutOffsets(data, n)
	if err != nil {
		return err
	}
	for i := range n {
		size, err := indexTupleSize(data)
		if err != nil {
			return err
		}
		size = pg.MaxAlign(size)
		if size > len(data) {
			return corrupt("tuple of %d bytes in %d", size, len(data))
		}
		if err := addItem(page, data[:size], offs.at(i)); err != nil {
			return err
		}
		data = data[size:]
	}
	if len(data) != 0 {
		return corrupt("%d bytes behind %d tuples", len(data), n)
	}
	return nil
}

// xlHashDelete is xl_hash_delete.
type xlHashDelete struct {
	clearDeadMarking bool
}

const sizeofXLHashDelete = 2

func parseXLHashDelete(b []byte) (xlHashDelete, error) {
	if len(b) < sizeofXLHashDelete {
		return xlHashDelete{}, corrupt("xl_hash_delete is %d bytes, want %d", len(b), sizeofXLHashDelete)
	}
	return xlHashDelete{clearDeadMarking: b[0] != 0}, nil
}

// hashDelete is hash_xlog_delete, of block 1.
func hashDelete(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := parseXLHashDelete(rec.MainData)
	if err != nil {
		return err
	}
	return hashDeleteTuples(page, offsets(blk.Data), xl.clearDeadMarking)
}

func hashDeleteTuples(page pg.Page, items offsets, clearDeadMarking bool) error {
	o, err := hashPageOpaque(page)
	if err != nil {
		return err
	}
	if clearDeadMarking {
		o.clearFlags(lhHasDeadTuples)
	}
	return indexMultiDelete(page, items)
}

// xlHashVacuumOnePage is xl_hash_vacuum_one_page.
type xlHashVacuumOnePage struct {
	nTuples int32
	items   offsets
}

const sizeofXLHashVacuumOnePage = 8

func parseXLHashVacuumOnePage(b []byte) (xlHashVacuumOnePage, error) {
	if len(b) < sizeofXLHashVacuumOnePage {
		return xlHashVacuumOnePage{}, corrupt("xl_hash_vacuum_one_page is %d bytes, want %d", len(b), sizeofXLHashVacuumOnePage)
	}
	xl := xlHashVacuumOnePage{nTuples: int32(binary.LittleEndian.Uint32(b[4:]))}
	if len(b) == sizeofXLHashVacuumOnePage {
		return xl, nil
	}
	if xl.nTuples < 0 || xl.nTuples > pg.MaxIndexTuplesPerPage {
		return xl, corrupt("xl_hash_vacuum_one_page of %d tuples", xl.nTuples)
	}
	var err error
	xl.items, _, err = cutOffsets(b[sizeofXLHashVacuumOnePage:], int(xl.nTuples))
	return xl, err
}

// hashVacuumOnePage is hash_xlog_vacuum_one_page: block 0 loses its dead tuples,
// block 1 is the metapage.
func hashVacuumOnePage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	xl, err := parseXLHashVacuumOnePage(rec.MainData)
	if err != nil {
		return err
	}
	if blk.ID != 0 {
		return hashCountTuples(page, -float64(xl.nTuples))
	}
	return hashDeleteTuples(page, xl.items, true)
}

// hashUpdateMetaPage is hash_xlog_update_meta_page; xl_hash_update_meta_page is the
// number of tuples, a double.
func hashUpdateMetaPage(page pg.Page, rec *xlog.Record, _ *xlog.BlockRef) error {
	if len(rec.MainData) < 8 {
		return corrupt("xl_hash_update_meta_page is %d bytes, want 8", len(rec.MainData))
	}
	m, err := hashPageMeta(page)
	if err != nil {
		return err
	}
	copy(m[hashMetaNTuples:hashMetaNTuples+8], rec.MainData)
	return nil
}

// hashSplitCleanup is hash_xlog_split_cleanup.
func hashSplitCleanup(page pg.Page, _ *xlog.Record, _ *xlog.BlockRef) error {
	o, err := hashPageOpaque(page)
	if err != nil {
		return err
	}
	o.clearFlags(lhNeedsSplitCleanup)
	return nil
}
