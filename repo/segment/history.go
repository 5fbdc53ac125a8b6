package segment

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// History says which of PostgreSQL's timelines the timeline's own segments are of. What is below the
// timeline's start is the ancestors'.
func (w *WAL) History() pg.History { return *w.history.Load() }

// SegmentPath is the path of the timeline's own segment that has lsn, present or not.
func (w *WAL) SegmentPath(lsn pg.LSN) string {
	return filepath.Join(w.Path, xlog.SegmentNameIn(w.History(), lsn, w.SegSize))
}

// Segments lists the timeline's own segments that are there, by their starts.
func (w *WAL) Segments() ([]Segment, error) {
	list, err := w.listFiles()
	history := w.History()
	list = slices.DeleteFunc(list, func(s Segment) bool { return s.Name != xlog.SegmentNameIn(history, s.Start, w.SegSize) })
	slices.SortFunc(list, func(a, b Segment) int { return cmp.Compare(a.Start, b.Start) })
	return list, err
}

// Switch begins timeline tli of PostgreSQL at the head, where that server was promoted whose WAL follows. As on
// that server, the segment with the head gets the new timeline's name, and zeros behind the head
// (XLogInitNewTimeline); what was behind it was not part of the history of the new timeline. store makes
// the new history durable. A crash, or an error, before the end of store leaves the old one: the file of
// the new name means nothing then, and the next Switch replaces it. The caller keeps writers out.
func (w *WAL) Switch(tli pg.TLI, store func(pg.History) error) error {
	w.packMu.Lock()
	defer w.packMu.Unlock()
	at := w.timeline.LastLSN()
	history := w.History().Switched(tli, at)
	if err := history.Check(); err != nil {
		return err
	}
	if err := w.copyHead(at, history); err != nil {
		return fmt.Errorf("copy the segment of %v for timeline %d: %w", at, tli, err)
	}
	if err := store(history); err != nil {
		return err
	}
	w.mu.Lock()
	w.history.Store(&history)
	w.drop(at - at%pg.LSN(w.SegSize))
	w.mu.Unlock()
	return w.removeStrays()
}

// copyHead makes the segment with the head, at, under the name that it has in history: the WAL up to at,
// and zeros. If the head is at the end of a segment, or its segment is still an ancestor's, there is nothing to copy.
func (w *WAL) copyHead(at pg.LSN, history pg.History) error {
	keep := int64(at % pg.LSN(w.SegSize))
	if keep == 0 {
		return nil
	}
	from, err := os.Open(w.SegmentPath(at))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	to := filepath.Join(w.Path, xlog.SegmentNameIn(history, at, w.SegSize))
	return durable.Replace(to, 0o600, func(f *os.File) error {
		if _, err := io.CopyN(f, from, keep); err != nil {
			return err
		}
		return f.Truncate(int64(w.SegSize))
	})
}

// removeStrays removes the files whose names say that they are segments of a timeline which, where they are,
// is not in the history: what Switch has copied, or what was left of a timeline behind the place
// where it was left. Readers that still have one open are not disturbed.
func (w *WAL) removeStrays() error {
	list, err := w.listFiles()
	history := w.History()
	removed := false
	for _, s := range list {
		if err == nil && s.Name != xlog.SegmentNameIn(history, s.Start, w.SegSize) {
			err, removed = os.Remove(filepath.Join(w.Path, s.Name)), true
		}
	}
	if err == nil && removed {
		err = durable.SyncDir(w.Path)
	}
	return err
}
