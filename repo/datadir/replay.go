package datadir

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"zenith/internal/pg"
	"zenith/internal/tree"
	"zenith/internal/xlog"
	"zenith/repo"
)

// Replay is a snapshot as the data directory of a throw-away server that is to replay the timeline's WAL up
// to a later point: a tree.Tree. It is a base backup of the snapshot whose WAL ends at that point, without
// the configuration files by which a server would become a standby, or load libraries.
type Replay struct {
	*View
	own []tree.Entry // what is different from the View, by path in Name
}

// NewReplay makes the tree of a server that replays from what from shows to what to shows, a later point of
// the same history.
func NewReplay(ctx context.Context, from, to *repo.Snapshot) (*Replay, error) {
	b, err := NewBaseBackup(ctx, from, BaseBackupOptions{Label: "replay"})
	if err != nil {
		return nil, err
	}
	control, err := replayControl(b.control, to)
	if err != nil {
		return nil, err
	}
	r := &Replay{View: b.v, own: []tree.Entry{
		{Name: "backup_label", File: b.label}, {Name: pg.ControlPath, File: control}, {Name: "postgresql.auto.conf", File: bytesFile(nil)},
	}}
	// The server looks for each segment under the name of the newest timeline that has a part of it.
	wal := shutdown{wal: to.Timeline().WAL(), at: to.LSN(), end: to.LSN(), checkPoint: pg.CheckPoint{Redo: b.Start}, cfg: b.v.stop.cfg, history: history(to)}
	if err := wal.createNoTablespaces(to.Timeline()); err != nil {
		return nil, fmt.Errorf("replay wal from %v to %v: %w", from.LSN(), to.LSN(), err)
	}
	if err := r.addHistoryFile(ctx, to); err != nil {
		return nil, err
	}
	for _, f := range wal.segments() {
		r.own = append(r.own, tree.Entry{Name: f.path(), File: f})
	}
	return r, nil
}

// replayControl is the pg_control of a base backup for a server that is to replay up to a later point. The timeline of
// the point up to which recovery must go at least is the one whose history the server follows, without being a standby
// (InitWalRecovery).
func replayControl(backup bytesFile, to *repo.Snapshot) (bytesFile, error) {
	cf, err := pg.ParseControlFile(backup)
	if err != nil {
		return nil, err
	}
	cf.MinRecoveryPoint, cf.MinRecoveryTLI = to.LSN(), history(to).TLI()
	return cf.Encode(), nil
}

// addHistoryFile adds the history file of PostgreSQL's timeline at to. The first timeline has none, and neither has one
// of which a server was imported without it.
func (r *Replay) addHistoryFile(ctx context.Context, to *repo.Snapshot) error {
	path := pg.HistoryPath(history(to).TLI())
	content, err := to.ReadFile(ctx, path)
	if errors.Is(err, repo.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r.own = append(r.own, tree.Entry{Name: path, File: bytesFile(content)})
	return nil
}

// createNoTablespaces puts records that do nothing in the place of those that create tablespaces: their replay
// needs, and changes, a directory outside of the server's data directory, which may be another machine's.
// Without the link to a tablespace, replay makes a directory in its place.
func (s *shutdown) createNoTablespaces(tl *repo.Timeline) error {
	end := s.checkPoint.Redo
	cfg, _ := tl.WALConfigAt(end)
	var rec xlog.Record
	for r := xlog.NewReader(s.wal, cfg, end); end < s.at; end = rec.EndLSN {
		if err := r.Next(&rec); err != nil {
			return err
		}
		if rec.RmgrID == xlog.RmTblspc && rec.Op() == xlog.TblspcCreate {
			on := s.cfg
			on.TLI = s.history.EndingAt(rec.EndLSN)
			s.patches = append(s.patches, xlog.Noop(end, rec.Raw, on)...)
		}
	}
	return nil
}

// hidden reports whether the server must not see a file of the View.
func (r *Replay) hidden(path string) bool {
	p := r.version.ParsePath(path)
	return p.Kind == pg.PathWALSegment || slices.Contains([]string{"standby.signal", "recovery.signal", "tablespace_map"}, path)
}

// ModTime implements tree.Tree.
func (r *Replay) ModTime() time.Time { return r.View.ModTime() }

// Lookup implements tree.Tree.
func (r *Replay) Lookup(ctx context.Context, path string) (tree.Entry, error) {
	for _, e := range r.own {
		if e.Name == path {
			_, e.Name = tree.Split(path)
			return e, nil
		}
	}
	if r.hidden(path) {
		return tree.Entry{}, notExist(path)
	}
	return r.View.Lookup(ctx, path)
}

// ReadDir implements tree.Tree.
func (r *Replay) ReadDir(ctx context.Context, dir string) ([]tree.Entry, error) {
	entries, err := r.View.ReadDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e tree.Entry) bool { return r.hidden(tree.Join(dir, e.Name)) })
	for _, e := range r.own {
		parent, name := tree.Split(e.Name)
		if parent != dir {
			continue
		}
		e.Name = name
		i, found := slices.BinarySearchFunc(entries, name, func(e tree.Entry, name string) int { return strings.Compare(e.Name, name) })
		if found {
			entries[i] = e
		} else {
			entries = slices.Insert(entries, i, e)
		}
	}
	return entries, nil
}
