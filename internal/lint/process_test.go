package lint_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// environment says which files may read environment variables, and what for.
var environment = map[string]string{
	"cmd/zenith/conninfo.go":             "libpq's variables of the user who names a server",
	"cmd/zenith/exec.go":                 "the command of pg exec gets ours",
	"cmd/zenith/privileged.go":           "a page server that becomes another account starts anew with ours",
	"cmd/zenith/trust.go":                "SUDO_UID: the user of sudo is trusted with a directory of his own",
	"cmd/zenith/wal.go":                  "TZ: times as the user reads them",
	"internal/postgres/server.go":        "TZ, handed to postgres",
	"internal/pgtest/fakepg/postgres.go": "the fake server logs what it was given",
	"internal/pgtest/command.go":         "a test's postgres gets ours, without PG*",
	"internal/pgtest/find.go":            "CI and ZENITH_PG_ROOT: which installations there are, and must be",
}

// changesDir says which files may change the current directory, and why.
var changesDir = map[string]string{
	"internal/pgtest/fakepg/postgres.go": "runs as a process of its own, and a postmaster is in its data directory",
}

// readsEnvironment are the functions of package os that read environment variables.
var readsEnvironment = map[string]bool{"Getenv": true, "LookupEnv": true, "Environ": true, "ExpandEnv": true, "UserHomeDir": true, "UserConfigDir": true}

// TestProcessState: the current directory belongs to the user, so only the processes of changesDir change it.
// Settings come from flags and files, so only the files of environment read environment variables.
func TestProcessState(t *testing.T) {
	root := moduleRoot(t)
	used := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		name := filepath.ToSlash(rel)
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if changes := sel.Sel.Name == "Chdir" || sel.Sel.Name == "Fchdir"; changes && changesDir[name] == "" {
				t.Errorf("%s changes the current directory", name)
			}
			pkg, ok := sel.X.(*ast.Ident)
			if ok && pkg.Name == "os" && readsEnvironment[sel.Sel.Name] && !strings.HasSuffix(name, "_test.go") {
				used[name] = true
				if environment[name] == "" {
					t.Errorf("%s reads the environment: os.%s", name, sel.Sel.Name)
				}
			}
			return true
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range environment {
		if !used[name] {
			t.Errorf("%s does not read the environment any more", name)
		}
	}
}
