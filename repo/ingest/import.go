package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/control"
)

// ImportOptions are Import's.
type ImportOptions struct {
	ID       repo.TimelineID                      // zero: random
	Name     string                               // the branch name
	Progress func(what string, done, total int64) // in bytes; may be nil
	Log      *slog.Logger                         // default: discards
	Workers  int                                  // files read at a time; default 4

	// Recovered says that dir is a base backup which was recovered and stopped: history
	// begins at the backup's end.
	Recovered *Recovered
	// LeftOut is told each file that is not imported, by its path below the data directory, and why; may be
	// nil. What belongs to a running server only, and logs, are not told.
	LeftOut func(path, why string)

	Locations map[pg.OID]string // of tablespaces that are elsewhere than where dir's links point to
}

// Import makes a timeline from the data directory dir of a cleanly stopped server. Its
// history begins at the end of the shutdown checkpoint's record. The directory is only
// read. The timeline is there whole, or not at all.
//
// Unlogged relations come without their contents, as after a crash. What belongs to a
// running server, statistics and replication slots are left behind.
func Import(ctx context.Context, r *repo.Repository, dir string, o ImportOptions) (*repo.Timeline, error) {
	tl, err := importDir(ctx, r, dir, o)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", dir, err)
	}
	return tl, nil
}

func importDir(ctx context.Context, r *repo.Repository, dir string, o ImportOptions) (*repo.Timeline, error) {
	cf, err := checkStopped(dir)
	if err != nil {
		return nil, err
	}
	src := stoppedWAL{dir: filepath.Join(dir, "pg_wal"), tli: cf.CheckPointCopy.ThisTLI, segSize: int(cf.SegSize)}
	end, err := src.shutdownEnd(cf)
	if err != nil {
		return nil, err
	}
	origins, err := readOrigins(dir)
	if err != nil {
		return nil, err
	}
	list, err := scan(dir, cf, o.LeftOut)
	if err != nil {
		return nil, err
	}
	relocate(list, o.Locations)
	state := control.New(cf, end, origins)
	if o.Recovered != nil {
		if state, err = o.Recovered.stateAfter(cf, origins); err != nil {
			return nil, err
		}
	}
	bulk, err := r.Create(ctx, repo.CreateOptions{
		ID: o.ID, Name: o.Name, Major: cf.Version.Major, TLI: src.tli, SegSize: src.segSize, SysID: cf.SystemID,
	})
	if err != nil {
		return nil, err
	}
	defer bulk.Abort()
	tl := bulk.Timeline()
	if err := src.copyTo(tl, min(state.Prev, state.CheckPoint.Redo), state.LSN); err != nil {
		return nil, err
	}
	l := newLoader(bulk, dir, cf, state.LSN, o)
	if err := l.load(ctx, list); err != nil {
		return nil, err
	}
	if again, err := checkStopped(dir); err != nil {
		return nil, err
	} else if *again != *cf {
		return nil, fmt.Errorf("a server ran on it meanwhile: %w", ErrNotClean)
	}
	if err := bulk.Commit(ctx, state); err != nil {
		return nil, err
	}
	return tl, nil
}

// mustNotExist are files that say that a directory is not that of a cleanly stopped
// server, and what they say.
var mustNotExist = []struct{ name, says string }{
	{"postmaster.pid", "a server is running on it, or was killed"},
	{"backup_label", "it is a base backup that was never recovered"},
	{"recovery.signal", "it is to be recovered from an archive"},
	{"standby.signal", "it is a standby"},
}

// checkStopped makes sure that dir is a data directory that can be imported.
func checkStopped(dir string) (*pg.ControlFile, error) {
	version, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("it is not a PostgreSQL data directory: it has no PG_VERSION: %w", ErrNotClean)
	}
	if err != nil {
		return nil, err
	}
	major := strings.TrimSpace(string(version))
	v, err := pg.ParseMajor(major)
	if err != nil {
		return nil, fmt.Errorf("it is PostgreSQL %s's: %w", major, ErrVersion)
	}
	for _, f := range mustNotExist {
		if _, err := os.Lstat(filepath.Join(dir, f.name)); err == nil {
			return nil, fmt.Errorf("there is a %s: %s: %w", f.name, f.says, ErrNotClean)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	content, err := os.ReadFile(filepath.Join(dir, pg.ControlPath))
	if err != nil {
		return nil, err
	}
	cf, err := parseControl(content)
	switch {
	case err != nil:
		return nil, err
	case cf.Version != v:
		return nil, fmt.Errorf("PG_VERSION says that it is %v's, pg_control that it is %v's: %w", v, cf.Version, ErrDamaged)
	case cf.State != pg.DBShutdowned:
		return nil, fmt.Errorf("pg_control says that the cluster is %q, not %q: %w", cf.State, pg.DBShutdowned, ErrNotClean)
	case !xlog.ValidSegSize(int(cf.SegSize)):
		return nil, fmt.Errorf("pg_control: WAL segments of %d bytes: %w", cf.SegSize, ErrDamaged)
	}
	return cf, nil
}

// parseControl is pg.ParseControlFile; ErrDamaged if it is no control file of any version.
func parseControl(content []byte) (*pg.ControlFile, error) {
	cf, err := pg.ParseControlFile(content)
	if err != nil && !errors.Is(err, ErrVersion) {
		err = fmt.Errorf("%v: %w", err, ErrDamaged)
	}
	return cf, err
}

// readOrigins reads how far replication origins had come.
func readOrigins(dir string) ([]pg.ReplOrigin, error) {
	content, err := os.ReadFile(filepath.Join(dir, pg.ReplOriginPath))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := pg.ParseReplOrigins(content)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, ErrDamaged)
	}
	return list, nil
}

// scan lists the files of a data directory that history keeps, in the order of their
// places in it.
func scan(dir string, cf *pg.ControlFile, leftOut func(path, why string)) ([]source, error) {
	if leftOut == nil {
		leftOut = func(string, string) {}
	}
	s := scanner{dir: dir, v: cf.Version, tli: cf.CheckPointCopy.ThisTLI, leftOut: leftOut}
	if err := s.scan(); err != nil {
		return nil, err
	}
	slices.SortFunc(s.list, compareSources)
	return s.list, nil
}
