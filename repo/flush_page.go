package repo

import (
	"errors"
	"fmt"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// How chains are kept short: after imageEvery records a flush writes an image, so a read applies no
// more than that. A page that changes so often that images would be most of what is written gets
// fewer: a read of it applies up to hotEvery records.
const (
	imageEvery = 128  // records between two images
	hotEvery   = 512  // records between two images of a hot page
	hotRecords = 1024 // a page with so many records in one window is hot
	chunkLinks = 256  // records in a chunk at most
)

// pageFlush writes the pages of a window.
type pageFlush struct {
	t       *Timeline
	w       *window
	out     store.BulkWriter
	before  []sight // the history before the window
	settled bool    // all of before is in the store

	relKnown bool       // relOf, rel and cuts are set
	relOf    pg.RelFork // the fork of the page before
	rel      relState   // its state at the window's start
	cuts     []relCut   // its cuts in the window

	links []link // of the page that is written

	reader pageReader // of all pages as in before
	served int        // how many pages were read through it
}

// readerPages is after how many pages the reader is opened anew: its iterator keeps the files from
// being removed that the store had when it was made.
const readerPages = 512

// read gives the reader, opened anew from time to time.
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

// run is the links of a page in a window between two cuts.
type run struct {
	f     *pageFlush
	tag   pg.BufferTag
	cut   pg.LSN // versions at or below are dead
	fresh bool   // the run begins behind a cut in the window: its base is a page of zeros

	links  []link
	from   int    // the first link that is not written yet
	before int    // the records of the chain before links[from]; -1 if that is not known for sure
	length int    // the records of the chain up to the current link, about
	noRedo bool   // the chain has a record that redo refused
	every  int    // the length at which an image is written
	top    pg.LSN // the LSN of the last version that was written

	page pg.Page // the page after links[:at]; nil if it is not built
	at   int
	ch   *chain // applies records
}

// write writes the versions that links make, oldest first, and remembers the tail.
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
		// What is stored of the page cannot be read. Its readers will get the error; the flush must
		// go on, or no history of the timeline could be stored any more.
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

// step is called with each link, oldest first, and writes an image or a chunk if it is time.
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
		// The page cannot be rebuilt from here on. Its readers will get the error; the flush goes on.
		r.noRedo = true
	}
	if i+1-r.from >= chunkLinks {
		return r.chunk(i + 1)
	}
	return nil
}

// start finds out how long the chain before the run is: from the tail that the flush before
// remembered, or else from the newest version in the store.
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
		// Some of the chain is still in windows of an ancestor, whose flush may yet put images
		// between its records. So before is not known for sure.
		ch := newChain(r.tag)
		defer ch.free()
		if err := pr.fill(ch, r.cut); err != nil {
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

// continues takes the length of the chain from body, the value of its newest version, which is at at.
// That may be a chunk of an ancestor which goes on beyond limit, the branch point: then only the
// links up to limit count.
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
		r.length = min(r.length, h.n) // a read applies the records behind the image only
	}
	return nil
}

// build makes r.page the page after link i.
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

// baseLink finds the last of links[:i+1] that can be a base, and gives the index of the first link
// that is to be applied to r.page then; -1 if there is none.
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

// readBase makes r.page the page before the run.
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

// image writes a chunk of the links before i that are not written yet, and page as the version of
// link i.
func (r *run) image(i int, page pg.Page) error {
	if err := r.chunk(i); err != nil {
		return err
	}
	r.from, r.before, r.length, r.noRedo, r.top = i+1, 0, 0, false, r.links[i].end
	return putStamped(r.f.out, r.key(i), encodeImage(page))
}

// chunk writes a chunk of the links before end that are not written yet.
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

// chainLength counts the records of the chain that ends with links; before is how many precede them,
// -1 if that is not known. known is false if n is a lower bound only, since before is not known and
// there is no base in links.
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

// key is the key of a version that begins with link i.
func (r *run) key(i int) []byte {
	return appendVersion(appendPage(make([]byte, 0, pageKeySize+versionSize), r.tag), r.f.t.no, r.links[i].end)
}
