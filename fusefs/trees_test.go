package fusefs_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"zenith/internal/pg"
	"zenith/internal/tree"
)

// calls counts the calls of all trees of this process.
var calls struct{ lookups, readDirs, reads atomic.Int64 }

// memTree is a Tree in memory: path -> contents. A path that ends in a slash is an
// empty directory.
type memTree map[string]string

func (m memTree) ModTime() time.Time { return time.Unix(1_600_000_000, 0) }

func (m memTree) ReadDir(_ context.Context, dir string) ([]tree.Entry, error) {
	calls.readDirs.Add(1)
	found := map[string]tree.Entry{}
	for p, text := range m {
		rest, ok := strings.CutPrefix(p, dir+"/")
		if dir == "" {
			rest, ok = p, true
		}
		if !ok || rest == "" {
			continue
		}
		name, _, below := strings.Cut(rest, "/")
		e := tree.Entry{Name: name, Dir: below}
		if !below {
			e.File = memFile(text)
		}
		found[name] = e
	}
	if _, empty := m[dir+"/"]; len(found) == 0 && !empty {
		return nil, fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	}
	byName := func(a, b tree.Entry) int { return strings.Compare(a.Name, b.Name) }
	return slices.SortedFunc(maps.Values(found), byName), nil
}

func (m memTree) Lookup(ctx context.Context, p string) (tree.Entry, error) {
	calls.lookups.Add(1)
	dir, name := path.Split(p)
	list, err := m.ReadDir(ctx, strings.TrimSuffix(dir, "/"))
	if err != nil {
		return tree.Entry{}, err
	}
	for _, e := range list {
		if e.Name == name {
			return e, nil
		}
	}
	return tree.Entry{}, fmt.Errorf("%s: %w", p, fs.ErrNotExist)
}

type memFile string

func (m memFile) Size() int64 { return int64(len(m)) }

func (m memFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	calls.reads.Add(1)
	if m == "damaged" {
		return 0, errors.New("page 5 has no image")
	}
	return strings.NewReader(string(m)).ReadAt(p, off)
}

// osTree is a directory on disk as a Tree, without the files that a datadir.View does not have.
type osTree string

// absent matches the files that a datadir.View does not have.
var absent = []string{"*_fsm", "*_fsm.*", "postmaster.*", "pg_stat/*", "pg_internal.init", "pg_replslot/*", "xlogtemp.*"}

func (o osTree) ModTime() time.Time { return time.Unix(1_600_000_000, 0) }

func (o osTree) entry(p string, fi fs.FileInfo) (tree.Entry, bool) {
	for _, a := range absent {
		inPath, _ := path.Match(a, p)
		inName, _ := path.Match(a, path.Base(p))
		if inPath || inName {
			return tree.Entry{}, false
		}
	}
	if fi.IsDir() {
		return tree.Entry{Name: fi.Name(), Dir: true}, true
	}
	return tree.Entry{Name: fi.Name(), File: o.file(p, fi)}, true
}

// file gives a file's contents; an unlogged relation's are those of its init fork.
func (o osTree) file(p string, fi fs.FileInfo) tree.File {
	full := filepath.Join(string(o), p)
	if parsed := pg.V15.ParsePath(p); parsed.Kind == pg.PathRelation && parsed.Fork.Fork != pg.InitFork {
		if init, err := os.Stat(full + "_init"); err == nil {
			return osFile{full + "_init", init.Size()}
		}
	}
	return osFile{full, fi.Size()}
}

func (o osTree) ReadDir(_ context.Context, dir string) ([]tree.Entry, error) {
	calls.readDirs.Add(1)
	names, err := os.ReadDir(filepath.Join(string(o), dir))
	if err != nil {
		return nil, err
	}
	var list []tree.Entry
	for _, n := range names {
		fi, err := os.Stat(filepath.Join(string(o), dir, n.Name())) // a tablespace is a plain directory
		if err != nil {
			return nil, err
		}
		if e, ok := o.entry(path.Join(dir, n.Name()), fi); ok {
			list = append(list, e)
		}
	}
	return list, nil
}

func (o osTree) Lookup(_ context.Context, p string) (tree.Entry, error) {
	calls.lookups.Add(1)
	fi, err := os.Stat(filepath.Join(string(o), p))
	if err != nil {
		return tree.Entry{}, err
	}
	e, ok := o.entry(p, fi)
	if !ok {
		return tree.Entry{}, fmt.Errorf("%s: %w", p, fs.ErrNotExist)
	}
	return e, nil
}

type osFile struct {
	path string
	size int64
}

func (f osFile) Size() int64 { return f.size }

func (f osFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	calls.reads.Add(1)
	r, err := os.Open(f.path)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return r.ReadAt(p, off)
}

// fakeSource is a Source with two tenants and one timeline, whose head moves with
// each question.
type fakeSource struct {
	head     atomic.Int64
	released atomic.Int64
}

const (
	tenantA   = "000102030405060708090a0b0c0d0e0f"
	tenantB   = "100102030405060708090a0b0c0d0e0f"
	timelineA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

func (s *fakeSource) Tenants(context.Context) ([]string, error) {
	return []string{tenantB, tenantA}, nil
}

func (s *fakeSource) Branches(_ context.Context, tenant string) (map[string]string, error) {
	if tenant != tenantA {
		return nil, nil
	}
	return map[string]string{"main": timelineA, "feature/log/in": timelineA, "feature/x": timelineA}, nil
}

func (s *fakeSource) Timelines(_ context.Context, tenant string) ([]string, error) {
	if tenant != tenantA {
		return nil, nil
	}
	return []string{timelineA}, nil
}

func (s *fakeSource) Resolve(_ context.Context, tenant, point string) (string, pg.LSN, error) {
	switch {
	case tenant == tenantA && (point == "main" || point == timelineA):
		return timelineA, pg.LSN(0x1000 + s.head.Add(8)), nil
	case tenant == tenantA && (point == "main@0_2000" || point == "feature/log/in@0_2000"):
		return timelineA, 0x2000, nil
	case point == "main@0_DEAD":
		return "", 0, errors.New("the store is broken")
	}
	return "", 0, fmt.Errorf("point %s: %w", point, fs.ErrNotExist)
}

func (s *fakeSource) Snapshot(_ context.Context, _, timeline string, lsn pg.LSN) (tree.Tree, func(), error) {
	if lsn > 0x10000 {
		return nil, nil, fmt.Errorf("%s has no %v: %w", timeline, lsn, fs.ErrNotExist)
	}
	return memTree{"lsn": lsn.String(), "base/5/16384": "x"}, func() { s.released.Add(1) }, nil
}
