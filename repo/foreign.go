package repo

import (
	"context"
	"errors"
	"fmt"

	"zenith/internal/pg"
)

// A foreign page is one that a record of an extension's resource manager has changed. Redo does not know
// that resource manager: only postgres with the extension's library does. What is known of such a page
// beside its records are notes, versions of kindForeign:
//
//	0x10   refused: a record that redo does not know has changed the page at this LSN
//	0x11   settled: a record at this LSN has an image of the page, so that redo needs nothing older
//	0x12   bare: a record at this LSN makes the page from zeros, and has no image: stock replay cannot do that
//	image  remade: the page as of this LSN, as a postgres with the library has made it; the value is that
//	       of an image among the versions of a page
//
// Of bare pages, which redo here can rebuild, one note on a timeline is enough: it says that an extension relies
// on full_page_writes.
//
// A page whose newest note at a point is that it was refused may not be readable there, and a remade one
// always is: its records behind the note are applied to the image in the note.
//
// Notes go right into the store, past the windows: ingest notes what it meets before the WAL is published.
const (
	noteRefused byte = 0x10
	noteSettled byte = 0x11
	noteBare    byte = 0x12
)

// ForeignNote is a note that follows from WAL.
type ForeignNote struct {
	Tag  pg.BufferTag
	LSN  pg.LSN // the end of the record
	Kind ForeignKind
}

// ForeignKind says what a ForeignNote is about.
type ForeignKind byte

// The kinds of notes that follow from WAL.
const (
	ForeignRefused = ForeignKind(noteRefused) // redo refuses the record
	ForeignSettled = ForeignKind(noteSettled) // the record has an image
	ForeignBare    = ForeignKind(noteBare)    // the record makes a new page without an image
)

// RemadePage is a page that a postgres with the extension's library has made.
type RemadePage struct {
	Tag  pg.BufferTag
	Page pg.Page
}

func appendForeign(b []byte, tag pg.BufferTag) []byte {
	at := len(b)
	b = appendPage(b, tag)
	b[at] = byte(kindForeign)
	return b
}

// parseForeign undoes appendForeign.
func parseForeign(object []byte) (pg.BufferTag, bool) { return parsePage(object) }

// NoteForeign stores notes of records that will be published next. It is durable when the records are
// flushed; after a crash before that, they are ingested again.
func (t *Timeline) NoteForeign(notes []ForeignNote) error {
	out := t.r.store.Bulk()
	defer out.Cancel()
	for _, n := range notes {
		if err := putStamped(out, t.foreignKey(n.Tag, n.LSN), []byte{byte(n.Kind)}); err != nil {
			return err
		}
	}
	return out.Flush()
}

func (t *Timeline) foreignKey(tag pg.BufferTag, lsn pg.LSN) []byte {
	return appendVersion(appendForeign(make([]byte, 0, pageKeySize+versionSize), tag), t.no, lsn)
}

// PutRemade stores pages as they are at a record boundary of t, durably. From then on they can be read
// there, and behind it up to the next record that redo refuses.
func (t *Timeline) PutRemade(ctx context.Context, at pg.LSN, pages []RemadePage) error {
	o := t.owner(at)
	// A crash must not have the WAL up to here ingested again: notes of later records that this call makes
	// necessary would not be written a second time.
	if err := o.Flush(ctx); err != nil {
		return err
	}
	out := o.r.store.Bulk()
	defer out.Cancel()
	for _, p := range pages {
		if err := putStamped(out, o.foreignKey(p.Tag, at), encodeImage(p.Page)); err != nil {
			return err
		}
		if at == o.LastLSN() {
			continue
		}
		// Of several records in a row that redo refuses, only the first has a note. Some of them may be
		// behind this point. The LSN is inside the record that follows, where no point can be.
		if err := putStamped(out, o.foreignKey(p.Tag, at+1), []byte{noteRefused}); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return o.r.store.Sync()
}

// RefusedPages calls fn with each page of which s knows that redo refused a record, and that has no image
// since: most of them cannot be read, but some may have been initialized anew, or be gone. own says that
// the timeline itself has that note, and none of its ancestors.
func (s *Snapshot) RefusedPages(ctx context.Context, fn func(tag pg.BufferTag, own bool) error) error {
	return s.eachForeign(ctx, func(tag pg.BufferTag, no timelineNo, body []byte) error {
		if body[0] != noteRefused {
			return nil
		}
		return fn(tag, no == s.t.no)
	})
}

// HasForeign reports whether s has a foreign page, readable or not, and whether an extension's records
// rely on full_page_writes: see NoteForeign.
func (s *Snapshot) HasForeign(ctx context.Context) (foreign, bare bool, err error) {
	enough := errors.New("enough")
	err = s.eachForeign(ctx, func(_ pg.BufferTag, _ timelineNo, body []byte) error {
		isBare := body[0] == noteBare
		foreign, bare = foreign || !isBare, bare || isBare
		if foreign && bare {
			return enough
		}
		return nil
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return foreign, bare, err
}

// eachForeign calls fn with the newest note on each page, its body and the number of the timeline that has it.
func (s *Snapshot) eachForeign(ctx context.Context, fn func(tag pg.BufferTag, no timelineNo, body []byte) error) error {
	sights := s.sights()
	err := eachObject(s.t.r.store, []byte{byte(kindForeign)}, nil, func(c *cursor, object []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		tag, ok := parseForeign(object)
		if !ok {
			return fmt.Errorf("key %x: %w", object, ErrCorrupt)
		}
		for i := range sights {
			if _, ok := c.find(sights[i].no, sights[i].cap); !ok {
				continue
			}
			body, err := c.value()
			if err == nil {
				err = fn(tag, sights[i].no, body)
			}
			return err
		}
		return nil
	})
	return s.unlessForgotten(err)
}

// Unreadable lists the pages of s that exist and that redo cannot rebuild, and says of the first one why.
func (s *Snapshot) Unreadable(ctx context.Context) (tags []pg.BufferTag, why error, err error) {
	page := make(pg.Page, pg.BlockSize)
	err = s.RefusedPages(ctx, func(tag pg.BufferTag, _ bool) error {
		err := s.ReadPage(ctx, tag, page)
		switch {
		case errors.Is(err, ErrUnsupported):
			if why == nil {
				why = err
			}
			tags = append(tags, tag)
			return nil
		case errors.Is(err, ErrNotFound):
			return nil
		}
		return err
	})
	return tags, why, err
}

// ReadableBefore gives the newest point, at or before s, at which redo can rebuild all pages: s itself if
// it can there. A server with the extension's library that replays the WAL from there on makes those of s.
// ErrOutOfRange if the history there is forgotten.
func (s *Snapshot) ReadableBefore(ctx context.Context) (*Snapshot, error) {
	for {
		tags, _, err := s.Unreadable(ctx)
		if err != nil || len(tags) == 0 {
			return s, err
		}
		first := s.LSN()
		for _, tag := range tags {
			l, err := s.refusing(tag)
			if err != nil {
				return nil, err
			}
			first = min(first, l.start)
		}
		if s, err = s.t.At(ctx, first); err != nil {
			return nil, err
		}
	}
}

// remade looks for the newest image in a note on a page along sights, and puts the page in dst. at is the
// LSN of the note, 0 if there is none above cut. Such a note is never wrong, only too old: it is the page
// as of its LSN, whatever came before.
func (r *Repository) remade(tag pg.BufferTag, sights []sight, cut pg.LSN, dst pg.Page) (at pg.LSN, err error) {
	object := appendForeign(make([]byte, 0, pageKeySize), tag)
	c := newCursor(r.store, object)
	defer c.close(&err)
	c.reset(object)
	for i := range sights {
		m := &sights[i]
		for at, ok := c.find(m.no, m.cap); ok; at, ok = c.next(m.no) {
			if at <= cut {
				return 0, nil
			}
			body, err := c.value()
			if err == nil && !isImage(body) {
				continue
			}
			if err == nil {
				err = decodeImage(body, dst)
			}
			if err != nil {
				return 0, fmt.Errorf("remade page %v at %v: %w", tag, at, err)
			}
			return at, nil
		}
	}
	return 0, nil
}

// buildRemade makes dst the page at the chain's newest version from a remade page, after build has failed
// with an ErrUnsupported, which it gives again if there is none that helps. The chain's links are oldest
// first. That none is missing between the remade page and the first of them is sure: the record that
// redo has refused is among them, and would be refused again if it were behind the remade page.
func (c *chain) buildRemade(r *pageReader, t *Timeline, cut pg.LSN, dst pg.Page, refused error) error {
	at, err := t.r.remade(c.tag, r.l, cut, dst)
	if err != nil {
		return err
	}
	links := linksBehind(c.links, at)
	if at == 0 || len(links) == len(c.links) {
		return refused
	}
	return c.apply(t.r.redo, t.wal, links, dst)
}

// linksBehind gives the links, of some that are oldest first, above an LSN.
func linksBehind(links []link, at pg.LSN) []link {
	for len(links) > 0 && links[0].end <= at {
		links = links[1:]
	}
	return links
}

// foreignValue checks a note.
func (w *entryChecker) foreignValue(object, body []byte, _ pg.LSN, _ verified) error {
	if _, ok := parseForeign(object); !ok {
		return fmt.Errorf("its key names no block: %w", ErrCorrupt)
	}
	if isImage(body) {
		return decodeImage(body, w.page)
	}
	if len(body) != 1 || body[0] < noteRefused || body[0] > noteBare {
		return fmt.Errorf("note %x: %w", body, ErrCorrupt)
	}
	return nil
}
