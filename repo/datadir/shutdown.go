package datadir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/control"
)

// shutdown is the clean shutdown that a View pretends happened at its LSN.
type shutdown struct {
	wal        xlog.Source
	at         pg.LSN        // WAL below is read from wal
	inherited  pg.LSN        // WAL below is an ancestor's; 0: there is none
	checkPoint pg.CheckPoint // the shutdown's; its record starts at its Redo
	patches    []xlog.Patch  // the bytes of that record, and of images before it; none if wal has it
	end        pg.LSN        // the end of that record
	cfg        xlog.Config
	history    pg.History // the timelines of PostgreSQL up to end
}

// shutdownAt gives the shutdown at snap's LSN on the last timeline of history. If a server was really shut
// down there, it is that one, and nothing has to be made up; but not if it was on the timeline before.
func shutdownAt(snap *repo.Snapshot, history pg.History) shutdown {
	s, state := shutdownOf(snap, history), snap.State()
	if state.Shutdown && s.checkPoint.ThisTLI == state.CheckPoint.ThisTLI {
		s.checkPoint.Redo = state.Prev
		return s
	}
	s.add(state.Prev)
	return s
}

// Image is a page to be added to WAL as an image.
type Image struct {
	Tag  pg.BufferTag
	Page pg.Page
}

// shutdownBehind gives a shutdown that follows images, which follow snap's LSN.
func shutdownBehind(snap *repo.Snapshot, history pg.History, images []Image) shutdown {
	s, prev := shutdownOf(snap, history), snap.State().Prev
	for _, i := range images {
		var patches []xlog.Patch
		patches, prev, s.end = xlog.PageImage(s.end, prev, i.Tag, i.Page, s.cfg)
		s.patches = append(s.patches, patches...)
	}
	s.add(prev)
	return s
}

// shutdownOver gives a shutdown that follows the beginning of a record, behind snap's LSN, which was never completed. It
// begins on the page missing, where the record does not go on.
func shutdownOver(snap *repo.Snapshot, history pg.History, aborted, missing pg.LSN) shutdown {
	s := shutdownOf(snap, history)
	s.at = missing
	patches, start, end := xlog.OverwriteAborted(missing, snap.State().Prev, aborted, pg.TimestampOf(time.Now()), s.cfg)
	s.patches, s.end = patches, end
	s.add(start)
	return s
}

// add adds the record of the checkpoint at the end. The record before it started at prev.
func (s *shutdown) add(prev pg.LSN) {
	var patches []xlog.Patch
	patches, s.end = xlog.ShutdownCheckpoint(s.end, prev, &s.checkPoint, s.cfg)
	s.patches = append(s.patches, patches...)
}

// shutdownOf gives a shutdown at snap's LSN, on the last timeline of history, without its record.
func shutdownOf(snap *repo.Snapshot, history pg.History) shutdown {
	info, state := snap.Timeline().Info(), snap.State()
	s := shutdown{
		wal: snap.Timeline().WAL(), at: snap.LSN(), end: snap.LSN(),
		checkPoint: state.CheckPoint,
		history:    history,
	}
	if parent, at := snap.Timeline().Ancestor(); parent != nil {
		s.inherited = at
	}
	if tli := history.TLI(); tli > s.checkPoint.ThisTLI {
		// The record in which the promoted server says that it went on to the timeline is still to come, or
		// never will: then this checkpoint says it, as one at the end of recovery may.
		s.checkPoint.ThisTLI, s.checkPoint.PrevTLI = tli, s.checkPoint.ThisTLI
	}
	s.cfg = xlog.Config{Version: snap.Version(), SegSize: info.SegSize, SysID: info.SysID, TLI: s.checkPoint.ThisTLI}
	s.checkPoint.OldestActiveXID = 0
	if state.Shutdown {
		return s
	}
	if state.LastCommitLSN != 0 {
		s.checkPoint.Time = max(s.checkPoint.Time, state.MaxCommit.Time().Unix())
	}
	s.checkPoint.WALLevel = state.Settings.WALLevel // for the versions whose checkpoints say it
	return s
}

// firstUnloggedLSN is FirstNormalUnloggedLSN.
const firstUnloggedLSN = 1000

// controlFile gives pg_control as it is after the shutdown. template is the one in history.
func (s *shutdown) controlFile(template []byte, state *control.State) ([]byte, error) {
	c, err := pg.ParseControlFile(template)
	if err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	c.State = pg.DBShutdowned
	c.Time = s.checkPoint.Time
	c.CheckPoint = s.checkPoint.Redo
	c.CheckPointCopy = s.checkPoint
	c.UnloggedLSN = firstUnloggedLSN
	c.MinRecoveryPoint, c.MinRecoveryTLI = 0, 0
	c.BackupStartPoint, c.BackupEndPoint, c.BackupEndRequired = 0, 0, false
	c.ChecksumVersion = state.ChecksumVersion
	c.Settings = state.Settings
	return c.Encode(), nil
}

// originsFile gives the file that a checkpoint writes about replication origins; nil: there are
// none.
func originsFile(state *control.State) []byte {
	if len(state.Origins) == 0 {
		return nil
	}
	return pg.EncodeReplOrigins(state.SortedOrigins())
}

// segments gives the files of pg_wal: the segments in which the checkpoint's record lies, and
// those of images before it.
func (s *shutdown) segments() []*walFile {
	var list []*walFile
	size := pg.LSN(s.cfg.SegSize)
	for at := min(s.at, s.checkPoint.Redo) &^ (size - 1); at < s.end; at += size {
		list = append(list, &walFile{stop: s, start: at})
	}
	return list
}

// walFile is a WAL segment as the shutdown leaves it: zeros follow the checkpoint's record.
type walFile struct {
	stop  *shutdown
	start pg.LSN
}

func (f *walFile) path() string {
	return "pg_wal/" + xlog.SegmentNameIn(f.stop.history, f.start, f.stop.cfg.SegSize)
}

// Size implements File.
func (f *walFile) Size() int64 { return int64(f.stop.cfg.SegSize) }

// ReadAt implements File.
func (f *walFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	want, end := clip(p, off, f.Size())
	if err := f.stop.read(want, f.start+pg.LSN(off)); err != nil {
		return 0, err
	}
	return len(want), end
}

// read fills p with the WAL from at on, as the shutdown leaves it.
func (s *shutdown) read(p []byte, at pg.LSN) error {
	clear(p)
	if at < s.at {
		err := xlog.ReadFull(s.wal, p[:min(pg.LSN(len(p)), s.at-at)], at)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: %w", err, repo.ErrCorrupt)
		}
		if err != nil {
			return err
		}
	}
	for _, patch := range s.patches {
		from, to := max(at, patch.At), min(at+pg.LSN(len(p)), patch.At+pg.LSN(len(patch.Bytes)))
		if from < to {
			copy(p[from-at:], patch.Bytes[from-patch.At:to-patch.At])
		}
	}
	return nil
}
