package datadir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
)

// PrepareHead makes a timeline's WAL ready for a server that goes on with it: afterwards the
// timeline has files of its own for the WAL around its head, in which a shutdown checkpoint
// follows the head, and zeros follow that. If the head is the end of a shutdown checkpoint
// already, none is added, unless the timeline goes on from there on another one of PostgreSQL's.
//
// All WAL that is there must have been ingested: what is behind the head is the beginning of a
// record that was never completed, and is removed. But if that fills the segment with the head, the segment may have
// been archived, and stays as it is: as after PostgreSQL's recovery, the checkpoint follows on the first page that
// the record lacks, behind a record that says so. The checkpoint is not ingested here: the head
// moves to its end when the timeline's WAL is ingested next. PrepareHead returns that end.
//
// A crash in between leaves WAL that ends at the head.
func PrepareHead(ctx context.Context, tl *repo.Timeline) (pg.LSN, error) {
	snap, err := tl.AtHead(ctx)
	if err != nil {
		return 0, err
	}
	stop := shutdownAt(snap, tl.History())
	aborted, missing, err := abortedRecord(snap)
	if err != nil {
		return 0, err
	}
	if size := pg.LSN(tl.Info().SegSize); missing/size > aborted/size {
		stop = shutdownOver(snap, tl.History(), aborted, missing)
	}
	return stop.end, stop.store(ctx, tl)
}

// abortedRecord finds the beginning of a record behind the head that was never completed: where it begins, and the page on
// which it does not go on; 0 if there is none.
func abortedRecord(snap *repo.Snapshot) (aborted, missing pg.LSN, err error) {
	tl := snap.Timeline()
	r := xlog.NewReader(tl.WAL(), tl.WALConfig(), snap.LSN())
	r.SetPrev(snap.State().Prev)
	err = r.Next(new(xlog.Record))
	switch {
	case err == nil:
		return 0, 0, nil
	case errors.Is(err, io.EOF), errors.Is(err, xlog.ErrCorrupt):
		aborted, missing, _ = r.Aborted()
		return aborted, missing, nil
	}
	return 0, 0, fmt.Errorf("look behind the head, %v: %w", snap.LSN(), err)
}

// AddImages adds images of pages to a timeline's WAL, behind its head, and a shutdown checkpoint
// behind them, which it returns. A server must have been shut down at the head. For the rest it is
// as PrepareHead. The images are in memory several times: the caller bounds their number.
func AddImages(ctx context.Context, tl *repo.Timeline, images []Image) (pg.CheckPoint, error) {
	snap, err := tl.AtHead(ctx)
	if err != nil {
		return pg.CheckPoint{}, err
	}
	stop := shutdownBehind(snap, tl.History(), images)
	return stop.checkPoint, stop.store(ctx, tl)
}

// store writes the WAL from the head to the end of the shutdown into the timeline's own segments.
func (s *shutdown) store(ctx context.Context, tl *repo.Timeline) error {
	if err := tl.MakeDirs(); err != nil {
		return err
	}
	if err := removeBeyond(tl, s.end); err != nil {
		return fmt.Errorf("clear wal behind %v: %w", s.end, err)
	}
	// The last segment is written first. So after a crash in between, a record that reaches from
	// one segment into the next is there whole, or its beginning is not.
	segs := s.segments()
	for i := len(segs) - 1; i >= 0; i-- {
		if err := segs[i].write(ctx, tl.SegmentPath(segs[i].start)); err != nil {
			return fmt.Errorf("prepare wal at %v: %w", s.at, err)
		}
	}
	if err := tl.MarkDurable(s.end); err != nil {
		return err
	}
	return errors.Join(durable.SyncDir(tl.WALDir()), durable.SyncDir(filepath.Dir(tl.WALDir())))
}

// removeBeyond removes the segments that begin at or behind end, and those that a killed
// process did not finish.
func removeBeyond(tl *repo.Timeline, end pg.LSN) error {
	entries, err := os.ReadDir(tl.WALDir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		_, start, ok := xlog.ParseSegmentName(e.Name(), tl.Info().SegSize)
		if (!ok || start < end) && !durable.Leftover(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(tl.WALDir(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// write gives the file at path the contents of f, durably. Of a file that exists, what is before
// the head is not touched; a new file appears whole.
func (f *walFile) write(ctx context.Context, path string) error {
	keep := int64(max(f.stop.at, f.start) - f.start)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return durable.Replace(path, 0o600, func(file *os.File) error { return f.writeFrom(ctx, file, 0) })
	case err != nil:
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < keep {
		return fmt.Errorf("%s ends at byte %d, before the head: %w", path, info.Size(), repo.ErrCorrupt)
	}
	if err := f.writeFrom(ctx, file, keep); err != nil {
		return err
	}
	return file.Sync()
}

// writeFrom writes f's bytes from off on, less those that no server reads. These, and the zeros at the end, become holes.
func (f *walFile) writeFrom(ctx context.Context, file *os.File, off int64) error {
	if err := clearFrom(file, off, f.Size()); err != nil {
		return err
	}
	unread, read := f.unread()
	end := min(int64(f.stop.end-f.start), f.Size())
	return errors.Join(f.copyRange(ctx, file, off, min(unread, end)), f.copyRange(ctx, file, max(off, read), end))
}

// copyRange writes f's bytes from off up to end.
func (f *walFile) copyRange(ctx context.Context, file *os.File, off, end int64) error {
	buf := make([]byte, min(max(end-off, 0), 1<<20))
	for off < end {
		part := buf[:min(end-off, int64(len(buf)))]
		if _, err := f.ReadAt(ctx, part, off); err != nil {
			return err
		}
		if _, err := file.WriteAt(part, off); err != nil {
			return err
		}
		off += int64(len(part))
	}
	return nil
}

// unread gives the range of f's bytes, from one offset up to another, that is an ancestor's WAL and that no server reads
// which begins at the checkpoint: all but the segment's first page, by which a server knows the segment, and the pages
// from the checkpoint on. This process reads it from the ancestor. To write it would be most of the cost of a
// branch's first start. The range is empty for versions whose servers summarize the WAL of all segments that are there,
// and where one of PostgreSQL's timelines begins in the segment: a recovery from an archive reads what is before that
// from this file, too, whose name has the newest timeline.
func (f *walFile) unread() (from, to int64) {
	if f.stop.cfg.Version.SummarizesWAL || f.switched() {
		return 0, 0
	}
	read := min(f.stop.inherited, f.stop.at, f.stop.checkPoint.Redo)
	read -= read % xlog.PageSize
	if read <= f.start+xlog.PageSize {
		return 0, 0
	}
	return xlog.PageSize, min(int64(read-f.start), f.Size())
}

// switched reports whether one of PostgreSQL's timelines begins in the segment.
func (f *walFile) switched() bool {
	return slices.ContainsFunc(f.stop.history[1:], func(e pg.HistoryEntry) bool {
		return e.Begin > f.start && int64(e.Begin-f.start) < f.Size()
	})
}

// clearFrom makes a file size bytes long, of which those from off on are zeros. The file is not
// made shorter in between: readers have segments mapped, and what is cut off would be an I/O
// error to one that reads at the head to see whether there is more.
func clearFrom(file *os.File, off, size int64) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := file.Truncate(size); err != nil {
		return err
	}
	last := min(info.Size(), size)
	if off >= last {
		return nil // it was made longer, by zeros
	}
	err = unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, last-off)
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	_, err = file.WriteAt(make([]byte, last-off), off) // a file system without holes
	return err
}
