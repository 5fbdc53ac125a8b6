package ingest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/control"
)

// Recovered is a base backup that stock postgres makes consistent: it replays the backup's
// WAL up to its end, and stops. What is in the files is then the state as of that end; what
// postgres wrote behind it, the end of recovery, is no part of the server's history.
type Recovered struct {
	version *pg.Version
	state   *control.State // as of the backup's end; the counters are stock's, later
}

// PrepareBackup makes a base backup's directory ready for recovery: it reads the WAL from the
// backup's start to its stop, which must be there without a gap, and cuts it at stop.
// Recovery then ends there and nowhere else.
func PrepareBackup(dir string, start, stop pg.LSN) (*Recovered, error) {
	r, err := prepareBackup(dir, start, stop)
	if err != nil {
		return nil, fmt.Errorf("base backup in %s: %w", dir, err)
	}
	return r, nil
}

// Version is the server's: one of that version has to recover its backup.
func (r *Recovered) Version() *pg.Version { return r.version }

// Settings are the server's, as recovery needs them.
func (r *Recovered) Settings() pg.ControlSettings { return r.state.Settings }

func prepareBackup(dir string, start, stop pg.LSN) (*Recovered, error) {
	content, err := os.ReadFile(filepath.Join(dir, pg.ControlPath))
	if err != nil {
		return nil, err
	}
	cf, err := parseControl(content)
	if err != nil {
		return nil, err
	}
	src := stoppedWAL{dir: filepath.Join(dir, "pg_wal"), tli: cf.CheckPointCopy.ThisTLI, segSize: int(cf.SegSize)}
	state := control.New(cf, start, nil)
	if err := src.replayTo(state, cf, start, stop); err != nil {
		return nil, err
	}
	return &Recovered{version: cf.Version, state: state}, src.cut(stop)
}

// replayTo brings a state from start to stop, the end of the backup's last record.
func (s stoppedWAL) replayTo(state *control.State, cf *pg.ControlFile, start, stop pg.LSN) error {
	var rec xlog.Record
	r := xlog.NewReader(s, xlog.Config{Version: cf.Version, SegSize: s.segSize, SysID: cf.SystemID, TLI: s.tli}, start)
	for r.EndLSN() < stop {
		if err := r.Next(&rec); err != nil {
			if errors.Is(err, io.EOF) {
				err = r.EndReason()
			}
			return fmt.Errorf("its WAL ends at %v, not at %v: %v: %w", r.EndLSN(), stop, err, ErrDamaged)
		}
		if rec.RmgrID == xlog.RmTblspc && rec.Op() == xlog.TblspcCreate {
			// Its replay would make, and empty, a directory outside of ours.
			return fmt.Errorf("a tablespace was created during the backup: take another one: %w", ErrNotClean)
		}
		if err := state.Apply(&rec); err != nil {
			return err
		}
	}
	if rec.RmgrID != xlog.RmXLOG || rec.Op() != xlog.XLOGBackupEnd || rec.EndLSN != stop {
		return fmt.Errorf("no backup ends at %v; that of a standby cannot be used: %w", stop, ErrNotClean)
	}
	return nil
}

// cut puts zeros behind end, up to the end of its segment, and removes later segments.
func (s stoppedWAL) cut(end pg.LSN) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		tli, start, ok := xlog.ParseSegmentName(e.Name(), s.segSize)
		path := filepath.Join(s.dir, e.Name())
		switch {
		case !ok || start+pg.LSN(s.segSize) <= end:
			continue
		case start >= end || tli > s.tli:
			err = os.Remove(path)
		default:
			err = errors.Join(os.Truncate(path, int64(end-start)), os.Truncate(path, int64(s.segSize)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stateAfter is the state as of the backup's end, from the control file that recovery has left
// behind. Its checkpoint is not the server's: only the counters count.
func (r *Recovered) stateAfter(c *pg.ControlFile, origins []pg.ReplOrigin) (*control.State, error) {
	s := r.state.Clone()
	if c.CheckPoint < s.LSN {
		return nil, fmt.Errorf("its last checkpoint is at %v: it was not recovered to %v: %w", c.CheckPoint, s.LSN, ErrNotClean)
	}
	cp, old := c.CheckPointCopy, s.CheckPoint
	cp.Redo, cp.Time, cp.OldestActiveXID = old.Redo, old.Time, old.OldestActiveXID
	cp.ThisTLI, cp.PrevTLI, cp.FullPageWrites = old.ThisTLI, old.PrevTLI, old.FullPageWrites
	s.CheckPoint = cp
	s.Origins = control.New(c, s.LSN, origins).Origins
	return s, nil
}

// relocate says where the tablespaces are on the server, rather than here.
func relocate(list []source, locations map[pg.OID]string) {
	for i, f := range list {
		for oid, location := range locations {
			if f.path == pg.TablespacePath(oid) {
				list[i].data = []byte(location + "\n")
			}
		}
	}
}
