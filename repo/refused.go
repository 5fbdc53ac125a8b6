package repo

import (
	"errors"
	"fmt"
	"slices"

	"zenith/internal/pg"
)

// Refused stores a copy, as of lsn, of a page that s cannot rebuild, since redo does not support one
// of its records. The page to gets that record as its only version. So its readers get the same
// error as those of the page from, until an image of to comes.
func (b *Bulk) Refused(to pg.BufferTag, lsn pg.LSN, s *Snapshot, from pg.BufferTag) error {
	l, err := s.refusing(from)
	if err != nil {
		return err
	}
	l.end, l.flags = lsn, 0
	return b.put(lsn, appendPage(make([]byte, 0, pageKeySize+versionSize), to), encodeChunk([]link{l}, 0, 1, chunkNoRedo))
}

// refusing finds the oldest record that redo does not support, of those of a page's chain without which
// the page cannot be rebuilt: that is what a remade page stands for the records before it.
func (s *Snapshot) refusing(tag pg.BufferTag) (l link, err error) {
	sights := s.sights()
	st, err := s.rel(finder{sights: sights}, tag.RelFork)
	if err != nil {
		return l, err
	}
	s.t.r.reading.RLock()
	defer s.t.r.reading.RUnlock()
	r := pageReader{r: s.t.r, l: sights}
	defer r.close(&err)
	ch := newChain(tag)
	defer ch.free()
	if err := r.fill(ch, st.cutLSN(tag.Block)); err != nil {
		return l, err
	}
	links, page := ch.links, make(pg.Page, pg.BlockSize)
	ch.links = nil
	if err := ch.build(s.t.r.redo, s.t.wal, page); err != nil { // ch has no links now, so this makes the base
		return l, err
	}
	slices.Reverse(links)
	for helped := false; len(links) > 0; {
		err := ch.apply(s.t.r.redo, s.t.wal, links[:1], page)
		switch {
		case err == nil:
			links = links[1:]
			continue
		case !errors.Is(err, ErrUnsupported):
			return l, err
		}
		at, err := s.t.r.remade(tag, sights, st.cutLSN(tag.Block), page)
		if err != nil {
			return l, err
		}
		if helped || at < links[0].end {
			return links[0], nil
		}
		links, helped = linksBehind(links, at), true
	}
	return l, fmt.Errorf("%v: no record of %v is refused: %w", s, tag, ErrInvalid)
}
