package repo

import (
	"context"
	"errors"
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/control"
	"zenith/repo/history"
)

// entryChecker checks entries. It is for one goroutine.
type entryChecker struct {
	v      *verifier
	page   pg.Page // room to decompress images in
	links  []link
	chunks chunkDecoder
	buf    []byte
	rec    xlog.Record
}

// kindNames are the kinds of versions as users read them.
var kindNames = map[kind]string{
	kindState: "state", kindDatabase: "database", kindFile: "file", kindRelSize: "relation size", kindPage: "page",
	kindForeign: "foreign page", kindCommits: "commit", kindRunning: "running transaction",
}

// batch checks entries, and reports what is wrong with them to found.
func (w *entryChecker) batch(ctx context.Context, batch []storeEntry) error {
	for _, e := range batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.entry(e); err != nil {
			if err := w.v.found(err); err != nil {
				return err
			}
		}
	}
	return nil
}

// entry checks one entry.
func (w *entryChecker) entry(e storeEntry) error {
	object, no, lsn, ok := splitVersion(e.key)
	tl, known := w.v.timelines[no]
	if ok && !known {
		var err error
		if known, err = w.v.isNew(no); err != nil {
			return err
		}
	}
	if !ok || !known {
		return fmt.Errorf("entry %x: it is of no timeline: %w", e.key, ErrCorrupt)
	}
	name := fmt.Sprintf("timeline %d", no)
	if t := tl.t; t != nil {
		name = "branch " + t.info.Name
		if t.parent != nil && lsn < t.info.StartLSN {
			return fmt.Errorf("%s: %s at %v: it is before the branch begins: %w", name, objectName(object), lsn, ErrCorrupt)
		}
	}
	body, err := unstamp(e.key, e.value)
	if err == nil {
		err = valueChecks[kind(object[0])](w, object, body, lsn, tl)
	}
	if err != nil {
		return fmt.Errorf("%s: %s at %v: %w", name, objectName(object), lsn, err)
	}
	return nil
}

// objectName describes an object for an error message.
func objectName(object []byte) string {
	switch k := kind(object[0]); k {
	case kindPage:
		if tag, ok := parsePage(object); ok {
			return fmt.Sprintf("version of %v", tag)
		}
	case kindForeign:
		if tag, ok := parseForeign(object); ok {
			return fmt.Sprintf("note on %v", tag)
		}
	case kindRelSize:
		if rf, ok := parseRelFork(object); ok {
			return fmt.Sprintf("size of %v", rf)
		}
	case kindFile:
		if path, ok := parseFile(object); ok {
			return fmt.Sprintf("file %q", path)
		}
	case kindDatabase:
		if spc, db, ok := parseDB(object); ok {
			return fmt.Sprintf("database %d/%d", spc, db)
		}
	case kindState:
		return "state"
	case kindCommits:
		return "commits"
	case kindRunning:
		return "running transactions"
	}
	return fmt.Sprintf("entry %x", object)
}

// valueChecks check an object and an unstamped value, which is not empty, by the kind of their key.
var valueChecks = map[kind]func(w *entryChecker, object, body []byte, at pg.LSN, tl verified) error{
	kindState: func(_ *entryChecker, _, body []byte, at pg.LSN, _ verified) error {
		s, err := control.Decode(body)
		if err == nil && s.LSN != at {
			err = fmt.Errorf("it is of %v: %w", s.LSN, ErrCorrupt)
		}
		return err
	},
	kindDatabase: func(_ *entryChecker, _, body []byte, at pg.LSN, _ verified) error {
		_, err := decodeDB(body, at)
		return err
	},
	kindFile: func(_ *entryChecker, object, _ []byte, _ pg.LSN, _ verified) error {
		if _, ok := parseFile(object); !ok {
			return fmt.Errorf("its key has no path: %w", ErrCorrupt)
		}
		return nil // whatever bytes a file has are right: the checksum was checked
	},
	kindRelSize: func(_ *entryChecker, object, body []byte, at pg.LSN, _ verified) error {
		if _, ok := parseRelFork(object); !ok {
			return fmt.Errorf("its key names no relation: %w", ErrCorrupt)
		}
		_, err := decodeRelChunk(body, at, maxLSN)
		return err
	},
	kindPage:    (*entryChecker).pageValue,
	kindForeign: (*entryChecker).foreignValue,
	kindCommits: func(_ *entryChecker, _, body []byte, at pg.LSN, _ verified) error {
		commits, err := history.Decode(body)
		if err == nil && (len(commits) == 0 || commits[0].LSN != at) {
			err = fmt.Errorf("they do not begin there: %w", ErrCorrupt)
		}
		return err
	},
	kindRunning: func(_ *entryChecker, _, body []byte, _ pg.LSN, _ verified) error {
		_, err := history.Resume(body)
		return err
	},
}

// pageValue checks the value of a page, and the records that it points at.
func (w *entryChecker) pageValue(object, body []byte, at pg.LSN, tl verified) error {
	if _, ok := parsePage(object); !ok {
		return fmt.Errorf("its key names no block: %w", ErrCorrupt)
	}
	if isImage(body) {
		return decodeImage(body, w.page)
	}
	h, err := decodeChunkHeader(body)
	if err != nil {
		return err
	}
	w.chunks.vals = w.chunks.vals[:0]
	w.links, err = w.chunks.links(w.links[:0], &h, at)
	if err != nil {
		return err
	}
	for i := range w.links {
		l := &w.links[i]
		var err error
		if l.stored {
			err = decodeImage(l.raw, w.page)
		} else {
			err = w.record(l, tl)
		}
		if h.flags&chunkNoRedo != 0 && errors.Is(err, ErrOutOfRange) {
			err = nil // its WAL was forgotten; redo would refuse the record anyway: see Bulk.Refused
		}
		if err == nil && (l.start >= l.end && !l.stored || i > 0 && l.end <= w.links[i-1].end) {
			err = fmt.Errorf("it is out of order: %w", ErrCorrupt)
		}
		if err != nil {
			return fmt.Errorf("record %d of %d, %v to %v: %w", i+1, len(w.links), l.start, l.end, err)
		}
	}
	return nil
}

// record checks the record of a link.
func (w *entryChecker) record(l *link, tl verified) error {
	if tl.t == nil || l.end > tl.upTo {
		return nil // nobody reads the entry: its timeline is gone, or an interrupted flush left it
	}
	raw, err := tl.t.wal.Record(w.buf, l.start, l.size)
	if err != nil {
		return err
	}
	w.buf = raw
	if err := checkRecord(raw); err != nil {
		return err
	}
	if err := xlog.Decode(tl.t.wal.VersionAt(l.start), raw, l.start, l.end, &w.rec); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}
