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
	"zenith/repo"
)

// View is one state of a timeline as a data directory: a tree.Tree.
type View struct {
	snap    *repo.Snapshot
	version *pg.Version // snap's
	stop    shutdown
	control bytesFile
	origins bytesFile // nil: none
}

// New makes the View of a snapshot. It reads pg_control; all else is read when it is looked at.
func New(ctx context.Context, snap *repo.Snapshot) (*View, error) {
	v := &View{snap: snap, version: snap.Version(), stop: shutdownAt(snap, history(snap))}
	// The pg_control in history says what never changes about the cluster.
	template, err := snap.ReadFile(ctx, pg.ControlPath)
	if err != nil {
		return nil, err
	}
	if v.control, err = v.stop.controlFile(template, snap.State()); err != nil {
		return nil, err
	}
	v.origins = originsFile(snap.State())
	return v, nil
}

// history says which of PostgreSQL's timelines the WAL before a snapshot is on. The timeline itself may have gone on to
// another one right at the snapshot: that must not change what the snapshot shows.
func history(snap *repo.Snapshot) pg.History { return snap.Timeline().History().Until(snap.LSN()) }

// Snapshot is what the View shows.
func (v *View) Snapshot() *repo.Snapshot { return v.snap }

// ModTime is the time of the last commit or, if that is later, of the last checkpoint.
func (v *View) ModTime() time.Time { return time.Unix(v.stop.checkPoint.Time, 0) }

// Lookup gives the one entry at path.
func (v *View) Lookup(ctx context.Context, path string) (tree.Entry, error) {
	e, err := v.lookup(ctx, path)
	if errors.Is(err, repo.ErrNotFound) {
		err = notExist(path)
	}
	_, e.Name = tree.Split(path)
	return e, err
}

func (v *View) lookup(ctx context.Context, path string) (tree.Entry, error) {
	if isSkeleton[path] {
		return tree.Entry{Dir: true}, nil
	}
	switch p := v.version.ParsePath(path); p.Kind {
	case pg.PathRelation:
		return v.lookupRelation(ctx, p)
	case pg.PathSLRU:
		n, exists, err := v.snap.RelSize(ctx, p.Fork)
		return v.pages(p.Fork, 0, n), existing(exists, err)
	case pg.PathDatabase:
		exists, err := v.snap.HasDatabase(ctx, p.Fork.SpcOID, p.Fork.DBOID)
		return tree.Entry{Dir: true}, existing(exists, err)
	case pg.PathTempRelation:
		return tree.Entry{}, repo.ErrNotFound
	case pg.PathWALSegment:
		for _, f := range v.stop.segments() {
			if f.path() == path {
				return tree.Entry{File: f}, nil
			}
		}
		return tree.Entry{}, repo.ErrNotFound
	}
	return v.lookupOther(ctx, path)
}

func existing(exists bool, err error) error {
	if err == nil && !exists {
		return repo.ErrNotFound
	}
	return err
}

// lookupOther looks for a path that is none of a relation, an SLRU, a database or a WAL segment.
func (v *View) lookupOther(ctx context.Context, path string) (tree.Entry, error) {
	switch {
	case path == pg.ControlPath:
		return tree.Entry{File: v.control}, nil
	case path == pg.ReplOriginPath && v.origins != nil:
		return tree.Entry{File: v.origins}, nil
	}
	link, isVersion := strings.CutSuffix(path, "/"+v.version.TablespaceDir())
	if _, isLink := pg.ParseTablespacePath(link); isLink {
		_, err := v.snap.ReadFile(ctx, link)
		return tree.Entry{Dir: true}, err
	}
	if isVersion {
		return tree.Entry{}, repo.ErrNotFound
	}
	content, err := v.snap.ReadFile(ctx, path)
	if err == nil {
		return tree.Entry{File: bytesFile(content)}, nil
	}
	if !errors.Is(err, repo.ErrNotFound) {
		return tree.Entry{}, err
	}
	err = v.snap.Files(ctx, path+"/", func(string, int) error { return errFound })
	if errors.Is(err, errFound) {
		return tree.Entry{Dir: true}, nil
	}
	return tree.Entry{}, existing(false, err)
}

// errFound ends an iteration when what was looked for is found.
var errFound = errors.New("found")

// ReadDir lists a directory, in the order of names.
func (v *View) ReadDir(ctx context.Context, dir string) ([]tree.Entry, error) {
	l := lister{v: v, dir: dir, seen: map[string]bool{}}
	err := l.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", dir, err)
	}
	if len(l.entries) == 0 {
		// An empty directory and one that does not exist are told apart here.
		e, err := v.Lookup(ctx, dir)
		if err == nil && !e.Dir {
			err = notExist(dir)
		}
		return nil, err
	}
	slices.SortFunc(l.entries, func(a, b tree.Entry) int { return strings.Compare(a.Name, b.Name) })
	return l.entries, nil
}

// lister collects the entries of one directory.
type lister struct {
	v       *View
	dir     string
	entries []tree.Entry
	seen    map[string]bool
}

// add adds an entry, unless one of that name is there.
func (l *lister) add(e tree.Entry) {
	if !l.seen[e.Name] {
		l.seen[e.Name] = true
		l.entries = append(l.entries, e)
	}
}

// addPath adds the file at path if it is in the listed directory. If it is further down, it adds
// the subdirectory that leads to it.
func (l *lister) addPath(path string, file func() tree.File) {
	rest, ok := tree.Below(l.dir, path)
	name, _, deeper := strings.Cut(rest, "/")
	switch {
	case !ok:
	case deeper:
		l.add(tree.Entry{Name: name, Dir: true})
	default:
		l.add(tree.Entry{Name: name, File: file()})
	}
}

func (l *lister) list(ctx context.Context) error {
	for _, dir := range skeleton {
		if parent, name := tree.Split(dir); parent == l.dir {
			l.add(tree.Entry{Name: name, Dir: true})
		}
	}
	l.addPath(pg.ControlPath, func() tree.File { return l.v.control })
	if l.v.origins != nil {
		l.addPath(pg.ReplOriginPath, func() tree.File { return l.v.origins })
	}
	if l.dir == "pg_wal" {
		for _, f := range l.v.stop.segments() {
			l.addPath(f.path(), func() tree.File { return f })
		}
	}
	if err := l.databases(ctx); err != nil {
		return err
	}
	if err := l.relations(ctx); err != nil {
		return err
	}
	if err := l.slrus(ctx); err != nil {
		return err
	}
	if err := l.tablespace(ctx); err != nil {
		return err
	}
	return l.files(ctx)
}

// databases adds the databases, if the listed directory is "base" or that of a tablespace.
func (l *lister) databases(ctx context.Context) error {
	if l.dir != "base" && !strings.HasSuffix(l.dir, "/"+l.v.version.TablespaceDir()) {
		return nil
	}
	return l.v.snap.Databases(ctx, func(spc, db pg.OID) error {
		if parent, name := tree.Split(l.v.version.DatabasePath(spc, db)); parent == l.dir {
			l.add(tree.Entry{Name: name, Dir: true})
		}
		return nil
	})
}

// slrus adds the segments of an SLRU, if the listed directory is that of one.
func (l *lister) slrus(ctx context.Context) error {
	for _, slru := range pg.SLRUs {
		if slru.Dir() != l.dir {
			continue
		}
		return l.v.snap.SLRUSegments(ctx, slru, func(segno uint32, n pg.BlockNumber) error {
			seg := slru.Segment(segno)
			l.addPath(l.v.version.RelPath(seg, 0), func() tree.File { return l.v.pages(seg, 0, n).File })
			return nil
		})
	}
	return nil
}

// tablespace adds the one subdirectory of a tablespace, if the listed directory is in the place of
// the link to one.
func (l *lister) tablespace(ctx context.Context) error {
	if _, ok := pg.ParseTablespacePath(l.dir); !ok {
		return nil
	}
	_, err := l.v.snap.ReadFile(ctx, l.dir)
	if errors.Is(err, repo.ErrNotFound) {
		return nil
	}
	l.add(tree.Entry{Name: l.v.version.TablespaceDir(), Dir: true})
	return err
}

// files adds the files that history has whole. The link to a tablespace is one of them, but is
// shown as a directory.
func (l *lister) files(ctx context.Context) error {
	prefix := l.dir
	if prefix != "" {
		prefix += "/"
	}
	return l.v.snap.Files(ctx, prefix, func(path string, size int) error {
		if _, ok := pg.ParseTablespacePath(path); ok {
			path += "/" + l.v.version.TablespaceDir()
		}
		l.addPath(path, func() tree.File { return &storedFile{snap: l.v.snap, path: path, size: int64(size)} })
		return nil
	})
}
