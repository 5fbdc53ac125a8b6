package repo

import (
	"errors"
	"fmt"
	"slices"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// maxTrimmedImages bounds the images in a trimmed chunk, which is one value. A page that would need
// more, since as many kept points lie within one chunk, is left as it is.
const maxTrimmedImages = 64

// pageVersion decides about a version of a page that points need. It is deleted if a cut makes it
// dead at all of them. Else an image stays, and a chunk is trimmed: it gets an image for each of the
// points, and keeps the records above the horizon.
func (c *collection) pageVersion(g *group, lsn pg.LSN, needed []pg.LSN, it store.Iterator) error {
	tag, ok := parsePage(g.object)
	if !ok {
		return fmt.Errorf("key %x: %w", it.Key(), ErrCorrupt)
	}
	alive := make([]pointOfPage, 0, len(needed))
	for _, at := range needed {
		st, err := g.p.rel(at, tag.RelFork)
		if err != nil {
			return err
		}
		if cut := st.cutLSN(tag.Block); cut < lsn {
			alive = append(alive, pointOfPage{at, cut})
		}
	}
	body, err := unstamped(it)
	if err == nil && isImage(body) {
		if len(alive) == 0 {
			c.delete(g, it)
		}
		return nil
	}
	if err == nil {
		err = c.chunk(g, tag, lsn, body, alive, it)
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrOutOfRange) && !g.p.t.isDeleted() {
		return err
	}
	// The page cannot be rebuilt at one of the points. Its readers get the error; its versions and
	// their WAL stay, since a later zenith may know the record that this one refuses.
	c.r.log.Warn("history of a page is kept, which cannot be rebuilt", "timeline", g.p.t.info.ID, "page", tag, "err", err)
	return c.leave(g, lsn, it)
}

// pointOfPage is a point at which a version of the page is alive, and the LSN up to which older ones
// are dead there.
type pointOfPage struct{ at, cut pg.LSN }

// errManyImages is the reason to leave a page with too many points as it is.
var errManyImages = fmt.Errorf("more than %d points between two of its versions: %w", maxTrimmedImages, ErrUnsupported)

// chunk trims a chunk, which may be trimmed already. first is the LSN of its key, body its value; it
// is on it. alive are the points that need it, ascending.
func (c *collection) chunk(g *group, tag pg.BufferTag, first pg.LSN, body []byte, alive []pointOfPage, it store.Iterator) error {
	h, err := decodeChunkHeader(body)
	if err != nil {
		return err
	}
	c.chunks.vals = c.chunks.vals[:0]
	links, err := c.chunks.links(nil, &h, first)
	if err != nil {
		return err
	}
	rest := len(links)
	for rest > 0 && links[rest-1].end > g.p.horizon {
		rest--
	}
	if len(alive) == 0 {
		if rest == len(links) {
			c.delete(g, it)
			return nil
		}
		return fmt.Errorf("records on both sides of a truncation: %w", ErrCorrupt)
	}
	images, same, err := c.neededImages(g, tag, links[:rest], h.before, alive)
	if err != nil || same {
		return err
	}
	if len(images) == 0 {
		return fmt.Errorf("none of %d records is at or below %v: %w", len(links), alive[len(alive)-1].at, ErrCorrupt)
	}
	key := slices.Clone(it.Key())
	op := stampedOp(key, encodeTrimmed(first, images, links[rest:], &h))
	c.batch.put(op)
	c.freed[g.no] += it.Size() - int64(len(op.Key)+len(op.Value))
	c.done.Truncated++
	return nil
}

// neededImages gives the images, oldest first, with which the page can be read at the points of alive
// without links, which are those of one chunk up to the horizon. before is how many records of the
// chain precede the chunk. same reports that links are just these images already.
func (c *collection) neededImages(g *group, tag pg.BufferTag, links []link, before int, alive []pointOfPage) (images []link, same bool, err error) {
	for _, p := range alive {
		i := len(links) - 1
		for i >= 0 && links[i].end > p.at {
			i--
		}
		if i < 0 || len(images) > 0 && images[len(images)-1].end == links[i].end {
			continue
		}
		l := links[i]
		if !l.stored {
			if err := c.build(g.p, p, tag); err != nil {
				return nil, false, err
			}
			depth, known := chainLength(links[:i+1], before)
			if !known {
				depth = -1
			}
			raw := encodeImage(c.page)
			l = link{end: l.end, start: l.end, flags: linkImage, size: len(raw), raw: raw, stored: true, depth: depth}
		}
		if images = append(images, l); len(images) > maxTrimmedImages {
			return nil, false, errManyImages
		}
	}
	same = len(images) == len(links) && !slices.ContainsFunc(links, func(l link) bool { return !l.stored })
	return images, same, nil
}

// build rebuilds a page in c.page as it is at a point.
func (c *collection) build(p *plan, at pointOfPage, tag pg.BufferTag) error {
	r := pageReader{r: c.r, l: p.look(at.at), c: c.cursor, epoch: c.r.epoch.Load(), wide: []byte{byte(kindPage)}}
	_, err := p.t.buildPage(&r, tag, at.cut, c.page)
	c.cursor = r.c
	return err
}

// leave keeps all versions that the timeline has of the page from this one down, and the WAL that
// they point at.
func (c *collection) leave(g *group, lsn pg.LSN, it store.Iterator) error {
	g.leave = true
	body, err := unstamped(it)
	if err != nil || isImage(body) {
		return nil
	}
	h, err := decodeChunkHeader(body)
	if err != nil {
		return nil
	}
	links, err := new(chunkDecoder).links(nil, &h, lsn)
	if err != nil {
		return nil
	}
	for _, l := range links {
		if !l.stored {
			g.p.keepWAL(l.start, l.end)
		}
	}
	return nil
}
