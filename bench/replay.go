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

// memoryWAL is WAL in memory, from a segment's start on.
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

// appendRecord appends the n bytes of the record at to dst, page headers taken out.
func (w *memoryWAL) appendRecord(dst []byte, at pg.LSN, n, segSize int) []byte {
	for n > 0 {
		at = xlog.RecordStart(at, segSize)
		part := min(n, int(xlog.PageSize-at%xlog.PageSize))
		dst = append(dst, w.b[at-w.start:][:part]...)
		at, n = at+pg.LSN(part), n-part
	}
	return dst
}

// history is the records of WAL, in memory, and which of them change which page.
type history struct {
	wal *memoryWAL
	cfg xlog.Config // of wal

	recs  []keptRecord
	slabs [][]byte
	ids   map[pg.BufferTag]uint32 // numbers of pages, in the order in which they came
	pages []changedPage           // by number
	order []uint32                // records' numbers, page by page
}

// keptRecord is where a record's bytes are. Large ones, images mostly, stay in the WAL.
type keptRecord struct {
	start, end      pg.LSN
	slab, at, bytes uint32
}

const (
	maxKept = 1 << 10
	inWAL   = ^uint32(0) // for slab
)

// changedPage is a page's part of order.
type changedPage struct {
	first, count uint32
	base         uint32 // how many precede the last that needs nothing of the page before it
	based        bool   // there is one
}

// pageLink is one record of a page's chain.
type pageLink struct{ page, rec uint32 }

// mention is a record's mention of a page.
type mention struct {
	tag      pg.BufferTag
	rec      uint32
	restores bool // the record needs nothing of the page before it
}

// mentions is how many of them go from one goroutine to the other at a time.
const mentions = 4 << 10

// readHistory decodes all WAL behind start and finds each page's records: one goroutine decodes
// and keeps the records, this one finds the pages.
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

// decode reads the WAL from start on, keeps the records that change pages, and sends which.
func (h *history) decode(start pg.LSN, full chan<- []mention, free <-chan []mention) error {
	r := xlog.NewReader(h.wal, h.cfg, start)
	var rec xlog.Record
	batch := <-free
	add := func(tag pg.BufferTag, restores bool) {
		batch = append(batch, mention{tag, uint32(len(h.recs)), restores})
	}
	unnamed := func(tag pg.BufferTag) {
		// The server keeps no times of commits.
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

// count notes that one more record changes a page, and gives the page's number.
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

// keep copies a record, or notes where it is.
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

// sort lays links out page by page.
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

// tags are the pages that changed, in order.
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

// materialise brings every page that changed to the end of the WAL, on workers
// goroutines, and gives each to fn, which may be called concurrently.
func (h *history) materialise(base string, workers int, fn func(tag pg.BufferTag, page pg.Page) error) (applied int, err error) {
	tags := h.tags()
	var wg sync.WaitGroup
	errs, counts := make([]error, workers), make([]int, workers)
	for i := range workers {
		part := tags[len(tags)*i/workers : len(tags)*(i+1)/workers]
		wg.Go(func() {
			b := builder{h: h, files: baseFiles{dir: base}, page: make(pg.Page, pg.BlockSize)}
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

// builder rebuilds one page after the other.
type builder struct {
	h       *history
	files   baseFiles
	page    pg.Page
	rec     xlog.Record
	buf     []byte
	applied int
}

// gathered is how many records are copied together before they are applied: redo itself
// is fast, and waits for memory if it asks for one record after the other.
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

// baseFiles reads pages of a data directory, one file after the other.
type baseFiles struct {
	dir  string
	fork pg.RelFork
	seg  uint32
	file *os.File // nil: there is none
}

// read reads a page; zeros where there is none.
func (f *baseFiles) read(tag pg.BufferTag, page pg.Page) error {
	seg, block := uint32(tag.Block/pg.RelSegBlocks), tag.Block%pg.RelSegBlocks
	if f.fork != tag.RelFork || f.seg != seg {
		f.close()
		f.fork, f.seg = tag.RelFork, seg
		var err error
		if f.file, err = os.Open(filepath.Join(f.dir, pg.RelPath(tag.RelFork, seg))); err != nil && !errors.Is(err, os.ErrNotExist) {
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
