package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/walredo"
)

// memoryWAL is WAL in memory, from the start of a segment on.
type memoryWAL struct {
	start pg.LSN
	b     []byte
}

// ReadWAL implements xlog.Source.
func (w *memoryWAL) ReadWAL(p []byte, at pg.LSN) (int, error) {
	if at < w.start || at >= w.start+pg.LSN(len(w.b)) {
		return 0, io.EOF
	}
	return copy(p, w.b[at-w.start:]), nil
}

// appendRecord appends the record at LSN at, which is n bytes long, to dst, without the page headers in it.
func (w *memoryWAL) appendRecord(dst []byte, at pg.LSN, n, segSize int) []byte {
	for n > 0 {
		at = xlog.RecordStart(at, segSize)
		part := min(n, int(xlog.PageSize-at%xlog.PageSize))
		dst = append(dst, w.b[at-w.start:][:part]...)
		at, n = at+pg.LSN(part), n-part
	}
	return dst
}

// history has the records of some WAL in memory, and which of them change which page.
type history struct {
	wal *memoryWAL
	cfg xlog.Config // what a reader of wal must expect

	recs  []keptRecord
	slabs [][]byte
	ids   map[pg.BufferTag]uint32 // each page's number, in the order in which WAL first mentions them
	pages []changedPage           // by page number
	order []uint32                // numbers of records: those of the first page, those of the second, ...
}

// keptRecord says where a record's bytes are: in a slab, or, if it is large, only in the WAL. Large records are
// mostly page images.
type keptRecord struct {
	start, end      pg.LSN
	slab, at, bytes uint32
}

const (
	maxKept = 1 << 10    // length of the largest record that is copied to a slab
	inWAL   = ^uint32(0) // value of keptRecord.slab for a record that is in no slab
)

// changedPage says which part of history.order is a page's.
type changedPage struct {
	first, count uint32
	base         uint32 // number of records before the last one that needs nothing of the page's old content
	based        bool   // there is such a record
}

// pageLink is one record of a page's chain.
type pageLink struct{ page, rec uint32 }

// mention is a record's mention of a page.
type mention struct {
	tag      pg.BufferTag
	rec      uint32
	restores bool // the record needs nothing of the page's old content
}

// mentions is how many mentions one goroutine sends to the other at a time.
const mentions = 4 << 10

// readHistory decodes all WAL from start on and finds each page's records. One goroutine decodes and keeps the
// records; this one counts them by page.
func readHistory(wal *memoryWAL, cfg xlog.Config, start pg.LSN) (*history, error) {
	h := &history{wal: wal, cfg: cfg, ids: make(map[pg.BufferTag]uint32)}
	full, free := make(chan []mention, 2), make(chan []mention, 4)
	for range cap(free) {
		free <- make([]mention, 0, mentions+xlog.MaxBlockID+1)
	}
	var err error
	go func() {
		defer close(full)
		err = h.decode(start, full, free)
	}()
	var links []pageLink
	for batch := range full {
		for i := range batch {
			m := &batch[i]
			links = append(links, pageLink{h.count(m.tag, m.restores), m.rec})
		}
		free <- batch[:0]
	}
	if err != nil {
		return nil, err
	}
	h.sort(links)
	return h, nil
}

// decode reads the WAL from start on, keeps the records that change pages, and sends their mentions of pages to
// full, in batches that it takes from free.
func (h *history) decode(start pg.LSN, full chan<- []mention, free <-chan []mention) error {
	r := xlog.NewReader(h.wal, h.cfg, start)
	var rec xlog.Record
	batch := <-free
	add := func(tag pg.BufferTag, restores bool) {
		batch = append(batch, mention{tag, uint32(len(h.recs)), restores})
	}
	unnamed := func(tag pg.BufferTag) {
		// The server has track_commit_timestamp=off, so commits change no page of pg_commit_ts.
		if slru, _, ok := tag.SLRU(); !ok || slru != pg.SLRUCommitTs || rec.RmgrID != xlog.RmXact {
			add(tag, false)
		}
	}
	for {
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			full <- batch
			return nil
		}
		if err != nil {
			return err
		}
		before := len(batch)
		for i := range rec.Blocks {
			add(rec.Blocks[i].Tag, rec.Blocks[i].Restores())
		}
		if err := walredo.Touches(&rec, unnamed); err != nil {
			return err
		}
		if len(batch) > before {
			h.keep(&rec)
		}
		if len(batch) >= mentions {
			full <- batch
			batch = <-free
		}
	}
}

// count counts one more record that changes a page, and gives the page's number.
func (h *history) count(tag pg.BufferTag, restores bool) uint32 {
	id, ok := h.ids[tag]
	if !ok {
		id = uint32(len(h.pages))
		h.ids[tag] = id
		h.pages = append(h.pages, changedPage{})
	}
	p := &h.pages[id]
	if restores {
		p.base, p.based = p.count, true
	}
	p.count++
	return id
}

const slabSize = 4 << 20

// keep copies a record to a slab, or notes where it is in the WAL.
func (h *history) keep(rec *xlog.Record) {
	k := keptRecord{start: rec.StartLSN, end: rec.EndLSN, slab: inWAL, bytes: uint32(len(rec.Raw))}
	if len(rec.Raw) <= maxKept {
		n := len(h.slabs) - 1
		if n < 0 || cap(h.slabs[n])-len(h.slabs[n]) < len(rec.Raw) {
			h.slabs = append(h.slabs, make([]byte, 0, slabSize))
			n++
		}
		k.slab, k.at = uint32(n), uint32(len(h.slabs[n]))
		h.slabs[n] = append(h.slabs[n], rec.Raw...)
	}
	h.recs = append(h.recs, k)
}

// appendRecord appends a record's bytes to dst.
func (h *history) appendRecord(dst []byte, k *keptRecord) []byte {
	if k.slab == inWAL {
		return h.wal.appendRecord(dst, k.start, int(k.bytes), h.cfg.SegSize)
	}
	return append(dst, h.slabs[k.slab][k.at:k.at+k.bytes]...)
}

// sort makes h.order of links: a counting sort by page, which keeps each page's records in order.
func (h *history) sort(links []pageLink) {
	first := uint32(0)
	next := make([]uint32, len(h.pages))
	for i := range h.pages {
		h.pages[i].first, next[i] = first, first
		first += h.pages[i].count
	}
	h.order = make([]uint32, first)
	for _, l := range links {
		h.order[next[l.page]] = l.rec
		next[l.page]++
	}
}

// tags lists the pages that changed, sorted.
func (h *history) tags() []pg.BufferTag {
	tags := make([]pg.BufferTag, 0, len(h.ids))
	for tag := range h.ids {
		tags = append(tags, tag)
	}
	slices.SortFunc(tags, compareTags)
	return tags
}

func compareTags(a, b pg.BufferTag) int {
	x := [...]pg.OID{a.SpcOID, a.DBOID, a.RelNumber, pg.OID(a.Fork), pg.OID(a.Block)}
	y := [...]pg.OID{b.SpcOID, b.DBOID, b.RelNumber, pg.OID(b.Fork), pg.OID(b.Block)}
	return slices.Compare(x[:], y[:])
}

// materialise brings every page that changed from the base to the end of the WAL, on several goroutines, and
// calls fn with each page, concurrently. applied is how many times a record was applied to a page.
func (h *history) materialise(base string, workers int, fn func(tag pg.BufferTag, page pg.Page) error) (applied int, err error) {
	tags := h.tags()
	var wg sync.WaitGroup
	errs, counts := make([]error, workers), make([]int, workers)
	for i := range workers {
		part := tags[len(tags)*i/workers : len(tags)*(i+1)/workers]
		wg.Go(func() {
			b := builder{h: h, files: baseFiles{version: h.cfg.Version, dir: base}, page: make(pg.Page, pg.BlockSize)}
			defer b.files.close()
			for _, tag := range part {
				if errs[i] = b.build(tag); errs[i] != nil {
					return
				}
				if errs[i] = fn(tag, b.page); errs[i] != nil {
					return
				}
			}
			counts[i] = b.applied
		})
	}
	wg.Wait()
	for _, n := range counts {
		applied += n
	}
	return applied, errors.Join(errs...)
}

// builder rebuilds pages, one after the other, in buffers of its own.
type builder struct {
	h       *history
	files   baseFiles
	page    pg.Page
	rec     xlog.Record
	buf     []byte
	applied int
}

// gathered is how many records are copied before they are applied. Records of one page are scattered in memory:
// copying many at once lets the processor fetch them at the same time, instead of one after the other.
const gathered = 64

func (b *builder) build(tag pg.BufferTag) error {
	p := &b.h.pages[b.h.ids[tag]]
	if !p.based {
		if err := b.files.read(tag, b.page); err != nil {
			return err
		}
	}
	chain := b.h.order[p.first+p.base : p.first+p.count]
	b.applied += len(chain)
	for part := range slices.Chunk(chain, gathered) {
		b.buf = b.buf[:0]
		for _, rec := range part {
			b.buf = b.h.appendRecord(b.buf, &b.h.recs[rec])
		}
		at := 0
		for _, rec := range part {
			k := &b.h.recs[rec]
			if err := xlog.Decode(b.h.cfg.Version, b.buf[at:at+int(k.bytes)], k.start, k.end, &b.rec); err != nil {
				return err
			}
			if err := walredo.Redo(b.page, tag, &b.rec); err != nil {
				return err
			}
			at += int(k.bytes)
		}
	}
	return nil
}

// baseFiles reads pages of a data directory. It keeps the file of the last page open.
type baseFiles struct {
	version *pg.Version
	dir     string
	fork    pg.RelFork
	seg     uint32
	file    *os.File // nil if that file does not exist
}

// read reads a page; one that does not exist is zeros.
func (f *baseFiles) read(tag pg.BufferTag, page pg.Page) error {
	seg, block := uint32(tag.Block/pg.RelSegBlocks), tag.Block%pg.RelSegBlocks
	if f.fork != tag.RelFork || f.seg != seg {
		f.close()
		f.fork, f.seg = tag.RelFork, seg
		var err error
		if f.file, err = os.Open(filepath.Join(f.dir, f.version.RelPath(tag.RelFork, seg))); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	clear(page)
	if f.file == nil {
		return nil
	}
	if _, err := f.file.ReadAt(page, int64(block)*pg.BlockSize); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("base of %v: %w", tag, err)
	}
	return nil
}

func (f *baseFiles) close() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}
