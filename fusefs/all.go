package fusefs

import (
	"context"
	"fmt"
	iofs "io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"zenith/internal/pg"
	"zenith/internal/tree"
)

// Source is what All shows. Errors that are fs.ErrNotExist mean that there is no
// such tenant, branch, timeline or state.
type Source interface {
	// Tenants lists the tenants' ids.
	Tenants(ctx context.Context) ([]string, error)
	// Branches gives a tenant's branches: the id of each one's timeline, by the branch's name.
	Branches(ctx context.Context, tenant string) (map[string]string, error)
	// Timelines lists the ids of a tenant's timelines.
	Timelines(ctx context.Context, tenant string) ([]string, error)
	// Resolve gives what a point means: NAME (its head), NAME@LSN or NAME@TIME, where
	// NAME is a branch's name or a timeline's id.
	Resolve(ctx context.Context, tenant, point string) (timeline string, lsn pg.LSN, err error)
	// Snapshot gives the state of a timeline at an LSN. The mount calls release once, when
	// it does not use the state any more.
	Snapshot(ctx context.Context, tenant, timeline string, lsn pg.LSN) (state tree.Tree, release func(), err error)
}

// How long the kernel may use an answer about All's upper directories without asking again.
// For a name that does not exist, zero would mean the mount's default.
const (
	briefly = time.Second
	never   = time.Nanosecond
)

// All mounts the whole tree, read-only, at dir:
//
//	tenants/<tenant>/branches/<name>          -> ../timelines/<id>
//	tenants/<tenant>/branches/<name>@<point>  -> ../timelines/<id>@<lsn>
//	tenants/<tenant>/timelines/<id>           -> <id>@<head lsn>
//	tenants/<tenant>/timelines/<id>@<lsn>/    a data directory
//
// A branch called feature/login is the link login in a directory feature, and leads one more up.
// Names with an @ are not listed; they are resolved when they are looked up.
func All(dir string, src Source, opts Options) (*Mount, error) {
	opts = opts.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	a := &all{ctx: ctx, src: src, opts: opts}
	root := a.dir("", a.fixed(map[string]level{"tenants": a.tenants()}))
	return mounting{
		dir:      dir,
		root:     root,
		rootAttr: stableAttr("", syscall.S_IFDIR),
		readOnly: true,
		cancel:   cancel,
		finish:   func() error { a.closeAll(); return nil },
	}.start(opts)
}

// all is a mount of the whole tree.
type all struct {
	ctx  context.Context // the mount's life
	src  Source
	opts Options

	mu   sync.Mutex
	open []*lazyTree // the states that may be open: all are released when the mount ends
}

// level is what one of the upper directories has in it. list gives its names. find makes the
// node of a name that is looked up in d, with its file type and the time for which the kernel
// may use the answer.
type level struct {
	list func() ([]fuse.DirEntry, error)
	find func(d *upperDir, name string) (node fs.InodeEmbedder, mode uint32, valid time.Duration, err error)
}

// upperDir is a directory of All above the data directories.
type upperDir struct {
	fs.Inode
	all  *all
	path string
	level
}

func (a *all) dir(path string, l level) *upperDir { return &upperDir{all: a, path: path, level: l} }

// fixed is the level of a directory whose names, all of them directories, never change.
func (a *all) fixed(dirs map[string]level) level {
	return level{
		list: func() ([]fuse.DirEntry, error) {
			var list []fuse.DirEntry
			for name := range dirs {
				list = append(list, fuse.DirEntry{Name: name, Mode: syscall.S_IFDIR})
			}
			return list, nil
		},
		find: func(d *upperDir, name string) (fs.InodeEmbedder, uint32, time.Duration, error) {
			l, ok := dirs[name]
			if !ok {
				return nil, 0, 0, iofs.ErrNotExist
			}
			return a.dir(tree.Join(d.path, name), l), syscall.S_IFDIR, longTime, nil
		},
	}
}

// tenants is the level of tenants/: a directory for each tenant.
func (a *all) tenants() level {
	return level{
		list: func() ([]fuse.DirEntry, error) {
			ids, err := a.src.Tenants(a.ctx)
			return named(ids, syscall.S_IFDIR), err
		},
		find: func(d *upperDir, name string) (fs.InodeEmbedder, uint32, time.Duration, error) {
			ids, err := a.src.Tenants(a.ctx)
			if err != nil {
				return nil, 0, 0, err
			}
			if !slices.Contains(ids, name) {
				return nil, 0, 0, iofs.ErrNotExist
			}
			l := a.fixed(map[string]level{"branches": a.branches(name, ""), "timelines": a.timelines(name)})
			return a.dir(tree.Join(d.path, name), l), syscall.S_IFDIR, briefly, nil
		},
	}
}

// branches is the level of a tenant's branches/, or of a directory below it: under is "", or the
// path of that directory with a slash. A branch is a symbolic link, and the parts of a name like
// feature/login are directories.
func (a *all) branches(tenant, under string) level {
	return level{
		list: func() ([]fuse.DirEntry, error) {
			timelines, err := a.src.Branches(a.ctx, tenant)
			return branchEntries(slices.Collect(maps.Keys(timelines)), under), err
		},
		find: func(d *upperDir, name string) (fs.InodeEmbedder, uint32, time.Duration, error) {
			target, isDir, err := a.branchTarget(tenant, under+name)
			if err != nil {
				return nil, 0, 0, err
			}
			path := tree.Join(d.path, name)
			if isDir {
				return a.dir(path, a.branches(tenant, under+name+"/")), syscall.S_IFDIR, never, nil
			}
			// The kernel asks for the name each time that a path leads through it, so the
			// target of this node need not be resolved again.
			read := func() (string, error) { return target, nil }
			return &upperLink{all: a, path: path, read: read}, syscall.S_IFLNK, never, nil
		},
	}
}

// branchEntries lists what a directory of branches has, of all names of branches.
func branchEntries(names []string, under string) []fuse.DirEntry {
	var links, dirs []string
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, under)
		if !ok {
			continue
		}
		if dir, _, deeper := strings.Cut(rest, "/"); !deeper {
			links = append(links, rest)
		} else if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	list := append(named(links, syscall.S_IFLNK), named(dirs, syscall.S_IFDIR)...)
	slices.SortFunc(list, func(a, b fuse.DirEntry) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// branchTarget gives the target of a link in branches/, which is called NAME or NAME@POINT there.
// isDir is true if it is no link but a directory, since there are branches whose names go on.
func (a *all) branchTarget(tenant, name string) (target string, isDir bool, err error) {
	timelines := strings.Repeat("../", strings.Count(name, "/")+1) + "timelines/"
	if strings.Contains(name, "@") {
		id, lsn, err := a.src.Resolve(a.ctx, tenant, name)
		return timelines + id + "@" + lsn.PathString(), false, err
	}
	branches, err := a.src.Branches(a.ctx, tenant)
	if err != nil {
		return "", false, err
	}
	if id, ok := branches[name]; ok {
		return timelines + id, false, nil
	}
	for other := range branches {
		if strings.HasPrefix(other, name+"/") {
			return "", true, nil
		}
	}
	return "", false, iofs.ErrNotExist
}

// timelines is the level of a tenant's timelines/: a symbolic link to the head of each timeline,
// and the data directories ID@LSN.
func (a *all) timelines(tenant string) level {
	return level{
		list: func() ([]fuse.DirEntry, error) {
			ids, err := a.src.Timelines(a.ctx, tenant)
			return named(ids, syscall.S_IFLNK), err
		},
		find: func(d *upperDir, name string) (fs.InodeEmbedder, uint32, time.Duration, error) {
			id, point, isState := strings.Cut(name, "@")
			ids, err := a.src.Timelines(a.ctx, tenant)
			if err != nil {
				return nil, 0, 0, err
			}
			if !slices.Contains(ids, id) {
				return nil, 0, 0, iofs.ErrNotExist
			}
			if isState {
				n, err := a.state(d, tenant, id, point, name)
				return n, syscall.S_IFDIR, briefly, err
			}
			read := func() (string, error) {
				_, head, err := a.src.Resolve(a.ctx, tenant, id)
				return id + "@" + head.PathString(), err
			}
			return &upperLink{all: a, path: tree.Join(d.path, name), read: read}, syscall.S_IFLNK, never, nil
		},
	}
}

// state gives the data directory ID@POINT, which is called name in d. If the kernel still knows
// it, it is the same node, and its state is made again if it was released.
func (a *all) state(d *upperDir, tenant, id, point, name string) (fs.InodeEmbedder, error) {
	lsn, err := pg.ParseLSN(point)
	if err != nil || strings.Contains(point, "/") {
		return nil, fmt.Errorf("%s: %w", name, iofs.ErrNotExist)
	}
	if known := d.GetChild(name); known != nil {
		dir := known.Operations().(*snapDir)
		_, err := dir.snap.lazy.get(a.ctx)
		return dir, err
	}
	lazy := &lazyTree{make: func(ctx context.Context) (tree.Tree, func(), error) { return a.src.Snapshot(ctx, tenant, id, lsn) }}
	if _, err := lazy.get(a.ctx); err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.open = append(slices.DeleteFunc(a.open, (*lazyTree).closed), lazy)
	a.mu.Unlock()
	snap := newSnap(a.ctx, lazy, tree.Join(d.path, name), a.opts)
	snap.lazy = lazy
	return &snapDir{snap: snap}, nil
}

// closeAll releases the states that the kernel had not forgotten when the mount ended.
func (a *all) closeAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.open {
		t.close()
	}
}

// named makes the listing of names of one file type, in the order of names.
func named(names []string, mode uint32) []fuse.DirEntry {
	var list []fuse.DirEntry
	for _, n := range slices.Sorted(slices.Values(names)) {
		list = append(list, fuse.DirEntry{Name: n, Mode: mode})
	}
	return list
}
