package lint_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed says which of zenith's packages a package may import (tests are free).
var allowed = map[string][]string{
	"internal/durable":     {},
	"internal/meter":       {},
	"internal/dirfd":       {},
	"internal/privileged":  {"internal/dirfd"},
	"internal/sidefile":    {"internal/durable"},
	"internal/conninfo":    {},
	"internal/egress":      {},
	"internal/pg":          {},
	"internal/xlog":        {"internal/pg"},
	"internal/tree":        {},
	"internal/rmgrdesc":    {"walredo", "internal/pg", "internal/xlog"},
	"internal/pgtest":      {"internal/pg", "internal/xlog"},
	"internal/lint":        {},
	"walredo":              {"internal/pg", "internal/xlog"},
	"repo/store":           {"internal/durable", "internal/pg"},
	"repo/store/storetest": {"repo/store"},
	"repo/control":         {"internal/pg", "internal/xlog"},
	"repo/segment":         {"internal/durable", "internal/pg", "internal/xlog"},
	"internal/varint":      {},
	"internal/heap":        {"internal/pg"},
	"repo/catalog":         {"internal/heap", "internal/pg", "repo"},
	"repo/changelog":       {"internal/pg", "repo", "repo/catalog", "repo/history"},
	"repo/history":         {"internal/pg", "internal/varint", "internal/xlog"},
	"repo":                 {"internal/durable", "internal/meter", "repo/control", "repo/history", "repo/segment", "repo/store", "internal/pg", "internal/varint", "internal/xlog"},
	"repo/repotest":        {"repo", "repo/control", "repo/store/storetest", "internal/pg", "internal/xlog"},
	"repo/ingest":          {"repo", "repo/control", "repo/history", "walredo", "internal/durable", "internal/pg", "internal/xlog"},
	"repo/datadir":         {"repo", "repo/control", "internal/durable", "internal/pg", "internal/tree", "internal/xlog"},
	"internal/api":         {"internal/meter", "internal/pg"},
	"internal/admin":       {"internal/access", "internal/api", "internal/meter", "internal/pg"},
	"internal/access":      {"internal/api", "internal/sidefile"},
	"internal/startup":     {"internal/api"},
	"internal/gateway":     {"internal/access", "internal/api", "internal/startup"},
	"internal/pageserver":  {"internal/access", "internal/api", "internal/conninfo", "internal/pg", "internal/startup"},
	"internal/postgres":    {"internal/api", "internal/conninfo", "internal/dirfd", "internal/durable", "internal/heap", "internal/pg", "internal/privileged", "internal/sidefile"},
	"repo/receiver":        {"repo", "internal/conninfo", "internal/durable", "internal/pg", "internal/xlog"},
	"fusefs":               {"internal/dirfd", "internal/durable", "internal/pg", "internal/privileged", "internal/sidefile", "internal/tree", "internal/xlog"},
	"tenants": {"fusefs", "repo", "repo/changelog", "repo/control", "repo/store", "repo/datadir", "repo/ingest", "repo/receiver", "walredo",
		"internal/api", "internal/conninfo", "internal/dirfd", "internal/durable", "internal/egress", "internal/meter", "internal/pg", "internal/postgres", "internal/privileged", "internal/sidefile", "internal/tree", "internal/xlog", "internal/rmgrdesc"},
	"cmd/zenith":     {"tenants", "internal/access", "internal/admin", "internal/privileged", "internal/api", "internal/conninfo", "internal/dirfd", "internal/durable", "internal/egress", "internal/gateway", "internal/pageserver", "internal/postgres", "internal/sidefile", "repo", "internal/pg"},
	"bench":          {"repo", "repo/store", "internal/api", "internal/pageserver", "repo/datadir", "repo/ingest", "walredo", "internal/pg", "internal/xlog", "internal/pgtest"},
	"bench/loopback": {},

	"integration/lossyfs": {},

	"internal/pgtest/fakepg": {"internal/pgtest", "internal/pg"},
}

// doors says which package alone may import a library.
var doors = map[string]string{
	"github.com/dgraph-io/badger/v4": "repo/store",
	"github.com/hanwen/go-fuse/v2":   "fusefs",
	"github.com/jackc/pgproto3/v2":   "internal/pageserver",
	"github.com/jackc/pgx/v5":        "repo/receiver",
	"github.com/xdg-go/scram":        "internal/access",
	"github.com/urfave/cli/v2":       "cmd/zenith",
	"golang.org/x/time":              "internal/pageserver",

	"github.com/prometheus/client_golang": "internal/admin",
}

// wire is the package that only these files of cmd/zenith may import: the others talk in the words of
// internal/api.
const wire = "internal/pageserver"

var connecting = []string{"connect.go", "daemon.go"}

// behind are exempt from doors: a program with nothing but a library, against which bench measures, and a file system
// that tests cut the power of.
var behind = []string{"bench/loopback", "integration/lossyfs"}

// longest is how many lines a file may have that is no test.
const longest = 500

func TestImports(t *testing.T) {
	forEachFile(t, func(dir, name string, f *ast.File, _ []byte) {
		rule, known := allowed[dir]
		if dir == "integration" {
			return
		}
		if !known {
			t.Errorf("%s is not in the table of packages", dir)
			return
		}
		for _, spec := range f.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if own, ok := strings.CutPrefix(path, "zenith/"); ok && !slices.Contains(rule, own) {
				t.Errorf("%s imports %s", filepath.Join(dir, name), own)
			}
			if dir == "cmd/zenith" && path == "zenith/"+wire && !slices.Contains(connecting, name) {
				t.Errorf("%s imports %s: want internal/api", filepath.Join(dir, name), wire)
			}
			for lib, door := range doors {
				if (path == lib || strings.HasPrefix(path, lib+"/")) && dir != door && !slices.Contains(behind, dir) {
					t.Errorf("%s imports %s, which belongs behind %s", filepath.Join(dir, name), lib, door)
				}
			}
		}
	})
}

// TestExamples sees that examples compile in another module, which cannot import internal packages.
func TestExamples(t *testing.T) {
	examples, err := filepath.Glob(filepath.Join(moduleRoot(t), "repo", "*", "example_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(examples, filepath.Join(moduleRoot(t), "repo", "example_test.go")) {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			if strings.Contains(spec.Path.Value, "/internal/") {
				t.Errorf("%s imports %s, which another module cannot", name, spec.Path.Value)
			}
		}
	}
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	said := map[string]bool{}
	forEachFile(t, func(dir, _ string, f *ast.File, _ []byte) {
		said[dir] = said[dir] || f.Doc != nil
	})
	for dir, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func TestFileLength(t *testing.T) {
	forEachFile(t, func(dir, name string, _ *ast.File, src []byte) {
		if n := bytes.Count(src, []byte("\n")); n > longest {
			t.Errorf("%s has %d lines, over %d", filepath.Join(dir, name), n, longest)
		}
	})
}

// forEachFile calls fn for each Go file of the module that is not a test.
func forEachFile(t *testing.T, fn func(dir, name string, f *ast.File, src []byte)) {
	t.Helper()
	root := moduleRoot(t)
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		files++
		fn(filepath.ToSlash(dir), filepath.Base(path), f, src)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatal("found no Go files: the rules were not checked")
	}
}

// forEachUse calls fn with each use of a name of another package in the program's files, as os.Open; file is the path
// from the module's root, with slashes.
func forEachUse(t *testing.T, fn func(dir, file, use string)) {
	t.Helper()
	forEachFile(t, func(dir, name string, _ *ast.File, src []byte) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := sel.X.(*ast.Ident); ok {
					fn(dir, filepath.ToSlash(filepath.Join(dir, name)), pkg.Name+"."+sel.Sel.Name)
				}
			}
			return true
		})
	})
}
