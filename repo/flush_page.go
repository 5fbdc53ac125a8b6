package repo

import (
	"errors"
	"fmt"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// How chains are kept short. A read applies at most imageEvery records. Of a page that changes
// so often that its images would be most of what is written, fewer are: a read applies hotEvery
// at most.
const (
	imageEvery = 128  // records: an image is written after each such stretch
	chunkLinks = 256  // records in a chunk at most
	hotRecords = 1024 // of a page in a window, from which on it is hot
	hotEvery   = 512  // records: its images' distance
)

// pageFlush writes the pages of a window.
type pageFlush struct {
	t       *Timeline
	w       *window
	out     store.BulkWriter
	before  []sight // what was before the window
	settled bool    // before is all in the store

	rel      relState // at the window's start, of relOf
	cuts     []relCut // in the window, of relOf
	relOf    pg.RelFork
	relKnown bool

	links []link

	reader pageReader // of before, over all pages
	served int        // how many pages were read through it
}

// readerPages is after how many pages the reader's iterator is renewed: it holds on to
// what was in the store when it was made.
const readerPages = 512

// read gives the reader.
func (f *pageFlush) read() (*pageReader, error) {
	if f.served++; f.served%readerPages == 0 {
		if err := f.close(); err != nil {
			return nil, err
		}
	}
	if f.reader.r == nil {
		f.reader = pageReader{r: f.t.r, cache: f.t.r.cache, l: f.before, wide: []byte{byte(kindPage)}}
	}
	return &f.reader, nil
}

func (f *pageFlush) close() (err error) {
	f.reader.close(&err)
	f.reader = pageReader{}
	return err
}

// write writes the versions of one page.
func (f *pageFlush) write(p *pageSlot[pageLog]) error {
	tag := p.tag
	f.links = f.w.links(f.links[:0], p.v.versions)
	st, err := f.relAtStart(tag.RelFork)
	if err != nil {
		return err
	}
	r := run{f: f, tag: tag, cut: st.cutLSN(tag.Block)}
	rest := f.links
	for _, cut := range f.cuts {
		if cut.n > tag.Block {
			continue
		}
		n := 0
		for n < len(rest) && rest[n].end <= cut.lsn {
			n++
		}
		if err := r.write(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
		r = run{f: f, tag: tag, cut: cut.lsn, fresh: true}
	}
	return r.write(rest)
}

// run is a stretch of a page's versions in a window without a cut in between.
type run struct {
	f     *pageFlush
	tag   pg.BufferTag
	cut   pg.LSN // versions at or below are dead
	fresh bool   // nothing is before the run: its base is a page of zeros

	links  []link
	from   int    // the first link that is not written yet
	before int    // length of the chain before from, -1 if not known for sure
	length int    // of the chain up to the current link
	noRedo bool   // the chain has a record that redo refused
	every  int    // the longest chain
	top    pg.LSN // of the last version written

	page pg.Page // after links[:at]; nil if not built
	at   int
	ch   *chain // for redo
}

func (r *run) write(links []link) error {
	if len(links) == 0 {
		return nil
	}
	r.links, r.every = links, imageEvery
	if len(links) >= hotRecords {
		r.every = hotEvery
	}
	err := r.start()
	if errors.Is(err, ErrCorrupt) {
		// As in step: history goes on, on what cannot be read.
		r.before, r.length, r.noRedo = -1, 0, true
	} else if err != nil {
		return err
	}
	r.ch = newChain(r.tag)
	defer r.ch.free()
	for i := range links {
		l := &links[i]
		if l.flags&(linkRestore|linkImage) != 0 {
			r.length, r.noRedo = 0, false
			r.page = nil
		}
		if err := r.step(i, l); err != nil {
			return err
		}
	}
	if err := r.chunk(len(links)); err != nil {
		return err
	}
	r.f.t.tails.put(r.tag, tail{at: r.top, length: int32(r.length), before: int32(r.before), noRedo: r.noRedo})
	return nil
}

// step decides what to write after link i.
func (r *run) step(i int, l *link) error {
	if l.flags&linkImage != 0 {
		return r.image(i, pg.Page(l.raw))
	}
	r.length++
	if !r.noRedo && r.length >= r.every {
		err := r.build(i)
		if err == nil {
			return r.image(i, r.page)
		}
		if !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrCorrupt) {
			return err
		}
		// The reader of the page will be told; history goes on.
		r.noRedo = true
	}
	if i+1-r.from >= chunkLinks {
		return r.chunk(i + 1)
	}
	return nil
}

// start learns how long the chain before the run is.
func (r *run) start() error {
	if r.fresh || r.links[0].flags&(linkRestore|linkImage) != 0 {
		return nil
	}
	if last, ok := r.f.t.tails.get(r.tag); ok {
		if last.at > r.cut {
			r.length, r.before, r.noRedo = int(last.length), int(last.before), last.noRedo
		}
		return nil
	}
	pr, err := r.f.read()
	if err != nil {
		return err
	}
	reading := &r.f.t.r.reading
	reading.RLock()
	defer reading.RUnlock()
	if err := pr.renew(); err != nil {
		return err
	}
	if !r.f.settled {
		// An ancestor may yet put images into what is in its windows.
		ch := newChain(r.tag)
		defer ch.free()
		if err := pr.collect(ch, r.cut); err != nil {
			return err
		}
		r.before, r.length, r.noRedo = -1, len(ch.links), ch.noRedo
		return nil
	}
	c := pr.cursor(r.tag)
	m, at, ok := c.newest(r.f.before)
	if !ok || at <= r.cut {
		return nil
	}
	body, err := c.value()
	if err != nil {
		return fmt.Errorf("version of %v at %v: %w", r.tag, at, err)
	}
	return r.continues(body, at, m.cap)
}

// continues reads the length of the chain at limit from its last chunk. A chunk of an
// ancestor may go on beyond limit, the branch point.
func (r *run) continues(body []byte, at, limit pg.LSN) error {
	if isImage(body) {
		return nil
	}
	h, err := decodeChunkHeader(body)
	if err != nil {
		return fmt.Errorf("versions of %v at %v: %w", r.tag, at, err)
	}
	n, known := h.after, h.flags&chunkOpen == 0
	if at+h.span > limit {
		var d chunkDecoder
		links, err := d.links(nil, &h, at)
		if err != nil {
			return fmt.Errorf("versions of %v at %v: %w", r.tag, at, err)
		}
		for len(links) > 0 && links[len(links)-1].end > limit {
			links = links[:len(links)-1]
		}
		if n, known = chainLength(links, h.before); !known {
			n = max(n, h.after)
		}
	}
	r.length, r.before, r.noRedo = n, n, h.flags&chunkNoRedo != 0
	if !known {
		r.before = -1
	}
	if h.trimmed {
		r.length = min(r.length, h.n) // what is to be applied, whatever was once before
	}
	return nil
}

// build brings the page up to link i.
func (r *run) build(i int) error {
	t := r.f.t
	if r.page == nil {
		r.page, r.at = make(pg.Page, pg.BlockSize), r.baseLink(i)
		if r.at < 0 {
			r.at = 0
			if err := r.readBase(); err != nil {
				r.page = nil
				return err
			}
		}
	}
	if err := r.ch.apply(t.r.redo, t.wal, r.links[r.at:i+1], r.page); err != nil {
		r.page = nil
		return err
	}
	r.at = i + 1
	return nil
}

// baseLink finds the last link up to i that needs nothing of what is before it; -1 if
// there is none.
func (r *run) baseLink(i int) int {
	for ; i >= 0; i-- {
		if r.links[i].flags&linkRestore != 0 {
			return i
		}
		if r.links[i].flags&linkImage != 0 {
			copy(r.page, r.links[i].raw)
			return i + 1
		}
	}
	return -1
}

// readBase reads the page as it was before the run.
func (r *run) readBase() error {
	if r.fresh {
		return nil
	}
	pr, err := r.f.read()
	if err != nil {
		return err
	}
	_, err = r.f.t.buildPage(pr, r.tag, r.cut, r.page)
	return err
}

// image writes page as the version of link i, and the links before it.
func (r *run) image(i int, page pg.Page) error {
	if err := r.chunk(i); err != nil {
		return err
	}
	r.from, r.before, r.length, r.noRedo, r.top = i+1, 0, 0, false, r.links[i].end
	return putStamped(r.f.out, r.key(i), encodeImage(page))
}

// chunk writes the links up to but not with end that are not written yet.
func (r *run) chunk(end int) error {
	if end == r.from {
		return nil
	}
	links := r.links[r.from:end]
	var flags byte
	after, known := chainLength(links, r.before)
	if !known {
		after, flags = max(after, r.length), chunkOpen
	}
	if r.noRedo {
		flags |= chunkNoRedo
	}
	err := putStamped(r.f.out, r.key(r.from), encodeChunk(links, r.before, after, flags))
	r.from, r.before, r.top = end, after, links[0].end
	if !known {
		r.before = -1
	}
	return err
}

// chainLength counts the chain at the end of links. known is false if it depends on the
// part before, and that is not known.
func chainLength(links []link, before int) (n int, known bool) {
	n, known = max(before, 0), before >= 0
	for i := range links {
		l := &links[i]
		if l.flags&linkImage != 0 {
			n, known = max(l.depth, 0), l.depth >= 0
			continue
		}
		if l.flags&linkRestore != 0 {
			n, known = 0, true
		}
		n++
	}
	return n, known
}

func (r *run) key(i int) []byte {
	return appendVersion(appendPage(make([]byte, 0, pageKeySize+versionSize), r.tag), r.f.t.no, r.links[i].end)
}
