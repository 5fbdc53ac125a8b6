package tree_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"zenith/internal/tree"
)

// memTree lists its directories by path.
type memTree map[string][]tree.Entry

func (m memTree) ReadDir(_ context.Context, path string) ([]tree.Entry, error) {
	entries, ok := m[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return entries, nil
}

func (m memTree) Lookup(context.Context, string) (tree.Entry, error) {
	return tree.Entry{}, fs.ErrNotExist
}

func (m memTree) ModTime() time.Time { return time.Time{} }

// memFile is a file of which one call gives at most most bytes.
type memFile struct {
	content string
	most    int
}

func (f memFile) Size() int64 { return int64(len(f.content)) }

func (f memFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return strings.NewReader(f.content).ReadAt(p[:min(len(p), f.most)], off)
}

var sample = memTree{
	"":          {{Name: "PG_VERSION", File: memFile{"15\n", 3}}, {Name: "base", Dir: true}, {Name: "global", Dir: true}},
	"base":      {{Name: "1", Dir: true}, {Name: "5", Dir: true}},
	"base/1":    {{Name: "1259", File: memFile{"", 0}}},
	"base/5":    {},
	"global":    {{Name: "pg_control", File: memFile{"x", 1}}},
	"elsewhere": {{Name: "lost", Dir: true}},
}

func TestWalk(t *testing.T) {
	refused := errors.New("refused")
	for _, test := range []struct {
		dir  string
		at   string // where fn returns err
		err  error
		want string
		fail error
	}{
		{want: "PG_VERSION base base/1 base/1/1259 base/5 global global/pg_control"},
		{dir: "base", want: "base/1 base/1/1259 base/5"},
		{dir: "base/5", want: ""},
		{at: "base", err: tree.Skip, want: "PG_VERSION base global global/pg_control"},
		{at: "PG_VERSION", err: fmt.Errorf("not that: %w", tree.Skip), want: "PG_VERSION base base/1 base/1/1259 base/5 global global/pg_control"},
		{at: "base/1/1259", err: refused, want: "PG_VERSION base base/1 base/1/1259", fail: refused},
		{dir: "elsewhere", want: "elsewhere/lost", fail: fs.ErrNotExist},
	} {
		var got []string
		err := tree.Walk(t.Context(), sample, test.dir, func(path string, e tree.Entry) error {
			if !strings.HasSuffix("/"+path, "/"+e.Name) {
				t.Errorf("%s comes with the entry of %s", path, e.Name)
			}
			got = append(got, path)
			if path == test.at {
				return test.err
			}
			return nil
		})
		if !slices.Equal(got, strings.Fields(test.want)) || !errors.Is(err, test.fail) {
			t.Errorf("walk %q, %v at %q: got %q, %v", test.dir, test.err, test.at, got, err)
		}
	}
}

func TestReadFull(t *testing.T) {
	for _, test := range []struct {
		file memFile
		off  int64
		n    int
		want string
		err  error
	}{
		{memFile{"0123456789", 10}, 3, 4, "3456", nil},
		{memFile{"0123456789", 10}, 8, 2, "89", nil},
		{memFile{"0123456789", 10}, 10, 0, "", nil},
		{memFile{"0123456789", 10}, 8, 3, "", io.ErrUnexpectedEOF},
		{memFile{"0123456789", 10}, 12, 1, "", io.ErrUnexpectedEOF},
		{memFile{"0123456789", 2}, 0, 4, "", io.ErrUnexpectedEOF}, // a File that breaks its promise
	} {
		p := make([]byte, test.n)
		err := tree.ReadFull(t.Context(), test.file, p, test.off)
		if !errors.Is(err, test.err) || err == nil && string(p) != test.want {
			t.Errorf("read %d at %d: got %q, %v; want %q, %v", test.n, test.off, p, err, test.want, test.err)
		}
	}
}

func TestPaths(t *testing.T) {
	for _, test := range []struct{ dir, name, path string }{
		{"", "base", "base"},
		{"base", "5", "base/5"},
		{"base/5", "1259", "base/5/1259"},
		{"", "", ""},
	} {
		if got := tree.Join(test.dir, test.name); got != test.path {
			t.Errorf("join %q and %q: got %q, want %q", test.dir, test.name, got, test.path)
		}
		if dir, name := tree.Split(test.path); dir != test.dir || name != test.name {
			t.Errorf("split %q: got %q and %q, want %q and %q", test.path, dir, name, test.dir, test.name)
		}
	}
}

func TestBelow(t *testing.T) {
	for _, test := range []struct {
		dir, path string
		rest      string
		ok        bool
	}{
		{"", "base/5/1259", "base/5/1259", true},
		{"base", "base/5/1259", "5/1259", true},
		{"base/5", "base/5/1259", "1259", true},
		{"base/5", "base/50/1259", "", false},
		{"base", "base", "", false},
		{"base", "", "", false},
		{"", "", "", false},
	} {
		rest, ok := tree.Below(test.dir, test.path)
		if ok != test.ok || ok && rest != test.rest {
			t.Errorf("%q below %q: got %q, %v", test.path, test.dir, rest, ok)
		}
	}
}
