package tenants

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"zenith/internal/api"
	"zenith/repo/receiver"
)

// sideFile is a row of the table of side files: a kind, by the name of its variable, and what can
// be said about the thing that such a file is about.
type sideFile struct {
	kind  string
	make  func(t *testing.T, tn *tenant) (path string) // makes the thing, or makes it anew
	whole func(t *testing.T, m *Manager) bool          // the thing is there and can be used
	lost  func(t *testing.T, m *Manager) bool          // it is not, and a list says so if there is one
}

const nowhere = "host=127.0.0.1 port=1 user=nobody"

var sideFileTable = []sideFile{
	{
		kind: "computeKind",
		make: func(t *testing.T, tn *tenant) string {
			o := api.ComputeOptions{Port: 50999, Settings: []api.Setting{{Name: "work_mem", Value: "64MB"}}}
			if _, err := tn.m.PgCreate(t.Context(), tenantA, MainBranch, o); err != nil {
				t.Error(err)
			}
			return (&compute{dir: tn.computeDir(MainBranch)}).tomlPath()
		},
		whole: func(t *testing.T, m *Manager) bool {
			c := theCompute(t, m)
			return c.Name == MainBranch && c.Status == api.ComputeStopped && c.Port == 50999
		},
		lost: func(t *testing.T, m *Manager) bool {
			c := theCompute(t, m)
			return c.Name == MainBranch && c.Status == api.ComputeDamaged && c.Port == 0
		},
	},
	{
		kind: "librariesKind",
		make: func(t *testing.T, tn *tenant) string {
			b := branchOf(t, tn, MainBranch)
			if err := errors.Join(b.tl.MakeDirs(), b.keepLibraries("old"), b.keepLibraries("pg_cron, stamp")); err != nil {
				t.Error(err)
			}
			return librariesPath(b.tl)
		},
		whole: func(t *testing.T, m *Manager) bool { return theLibraries(t, m) == "pg_cron, stamp" },
		lost:  func(t *testing.T, m *Manager) bool { return theLibraries(t, m) == "" },
	},
	{
		kind: "mountsKind",
		make: func(t *testing.T, tn *tenant) string {
			if err := tn.m.keepMount(t.Context(), "/nowhere", api.MountOptions{Tenant: tenantA, Point: MainBranch}); err != nil {
				t.Error(err)
			}
			return tn.m.mountsPath()
		},
		whole: func(_ *testing.T, m *Manager) bool {
			kept := m.keptMounts()
			return len(kept) == 1 && kept[0].Dir == "/nowhere"
		},
		lost: func(_ *testing.T, m *Manager) bool { return len(m.keptMounts()) == 0 },
	},
	{
		kind: "receiverKind",
		make: func(t *testing.T, tn *tenant) string {
			b := branchOf(t, tn, "followed")
			if err := tn.keepReceiver(b.tl.ID(), receiverFile{ConnInfo: nowhere}); err != nil {
				t.Error(err)
			}
			return tn.receiverPath(b.tl.ID())
		},
		whole: func(t *testing.T, m *Manager) bool {
			r := theReceiver(t, m)
			return r.Branch == "followed" && strings.Contains(r.ConnInfo, "127.0.0.1")
		},
		lost: func(t *testing.T, m *Manager) bool {
			r := theReceiver(t, m)
			return r.Branch == "followed" && r.Status == receiver.Failed && strings.Contains(r.LastError, "is damaged") && r.ConnInfo == ""
		},
	},
	{
		kind: "slotsKind",
		make: func(t *testing.T, tn *tenant) string {
			b := branchOf(t, tn, MainBranch)
			if err := (branchSlots{b}).Create("standby", false, true); err != nil {
				t.Error(err)
			}
			return b.slots.path
		},
		whole: func(t *testing.T, m *Manager) bool { return slotError(t, m) == nil },
		lost:  func(t *testing.T, m *Manager) bool { return slotError(t, m) != nil },
	},
}

// theLibraries gives the latest libraries with which servers have written the WAL of main.
func theLibraries(t *testing.T, m *Manager) string {
	t.Helper()
	b, release, err := m.lookup(t.Context(), tenantA, MainBranch)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	list := b.readLibraries(b.tl)
	return append(list, "")[0]
}

func theCompute(t *testing.T, m *Manager) api.Compute {
	t.Helper()
	list, err := m.PgList(t.Context(), tenantA)
	if err != nil || len(list) != 1 {
		t.Fatalf("got %v, %v, want one compute", list, err)
	}
	return list[0]
}

func theReceiver(t *testing.T, m *Manager) api.Receiver {
	t.Helper()
	list, err := m.ReceiveList(t.Context(), tenantA)
	if err != nil || len(list) != 1 {
		t.Fatalf("got %v, %v, want one receiver", list, err)
	}
	return list[0]
}

func slotError(t *testing.T, m *Manager) error {
	t.Helper()
	b, release, err := m.lookup(t.Context(), tenantA, MainBranch)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	restart, err := (branchSlots{b}).Get("standby")
	if err == nil && (restart == 0 || b.slots.horizon() != restart) {
		t.Errorf("the slot keeps WAL from %v, the branch from %v", restart, b.slots.horizon())
	}
	return err
}

func branchOf(t *testing.T, tn *tenant, name string) *branch {
	t.Helper()
	b, err := tn.lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// logBuffer is a log that may be written while it is read.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines gives the lines that have all of the words, and forgets everything.
func (l *logBuffer) lines(words ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			found = append(found, line)
		}
	}
	l.b.Reset()
	return found
}

// newWorkDir makes a work directory with a tenant of two branches.
func newWorkDir(t *testing.T, log *slog.Logger) Config {
	t.Helper()
	cfg := copyTemplate(t, Config{Log: log})
	m, err := open(cfg, newFakeMounts())
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.BranchCreate(t.Context(), tenantA, "followed", MainBranch, api.BranchOptions{})
	if cerr := m.Close(context.Background()); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	return cfg
}

// used runs fn with a page server on a work directory, and with its tenant.
func used(t *testing.T, cfg Config, fn func(m *Manager, tn *tenant)) {
	t.Helper()
	m, err := open(cfg, newFakeMounts())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	tn, release, err := m.tenant(t.Context(), tenantA)
	if err != nil {
		t.Fatalf("the tenant cannot be opened: %v", err)
	}
	defer release()
	fn(m, tn)
}

// TestDamagedSideFile: a side file that is empty, cut short or garbage costs the thing that it is
// about, and a line in the log. The tenant and all other things can be used. The file stays as
// it is until the thing is made anew; then it is moved aside.
func TestDamagedSideFile(t *testing.T) {
	t.Parallel()
	var log logBuffer
	cfg := newWorkDir(t, slog.New(slog.NewTextHandler(&log, nil)))
	paths := make([]string, len(sideFileTable))
	used(t, cfg, func(_ *Manager, tn *tenant) {
		for i, s := range sideFileTable {
			paths[i] = s.make(t, tn)
		}
	})
	used(t, cfg, func(m *Manager, _ *tenant) {
		for _, s := range sideFileTable {
			if !s.whole(t, m) {
				t.Errorf("%s: what was made is not there again", s.kind)
			}
		}
	})
	for i, s := range sideFileTable {
		t.Run(s.kind, func(t *testing.T) {
			whole, err := os.ReadFile(paths[i])
			if err != nil {
				t.Fatal(err)
			}
			for _, damaged := range [][]byte{
				{}, []byte("null"), []byte("{]"), make([]byte, len(whole)), whole[:1], whole[:len(whole)/2], whole[:len(whole)-1],
			} {
				testDamaged(t, cfg, &log, i, paths[i], damaged)
			}
		})
	}
}

func testDamaged(t *testing.T, cfg Config, log *logBuffer, i int, path string, damaged []byte) {
	t.Helper()
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	wantOthers := func(m *Manager) {
		t.Helper()
		for j, s := range sideFileTable {
			if j != i && !s.whole(t, m) {
				t.Errorf("%q: %s was lost too", damaged, s.kind)
			}
		}
		if list, err := m.BranchList(t.Context(), tenantA); err != nil || len(list) != 2 {
			t.Errorf("%q: got %d branches, %v", damaged, len(list), err)
		}
	}
	used(t, cfg, func(m *Manager, tn *tenant) {
		if !sideFileTable[i].lost(t, m) {
			t.Errorf("%q: it is taken for whole, or not listed as damaged", damaged)
		}
		wantOthers(m)
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, damaged) {
			t.Errorf("%q: reading it has changed it: %q, %v", damaged, got, err)
		}
		if lines := log.lines("level=WARN", "file="+path, "lost="); len(lines) != 1 {
			t.Errorf("%q: the log has %q", damaged, lines)
		}
		sideFileTable[i].make(t, tn)
		aside := path + ".damaged-1"
		if got, err := os.ReadFile(aside); err != nil || !bytes.Equal(got, damaged) {
			t.Errorf("%q: it was not moved aside: %q, %v", damaged, got, err)
		}
		if lines := log.lines("level=WARN", "file="+path, "to="+aside); len(lines) != 1 {
			t.Errorf("%q: the log has %q", damaged, lines)
		}
	})
	used(t, cfg, func(m *Manager, _ *tenant) {
		if !sideFileTable[i].whole(t, m) {
			t.Errorf("%q: it was made anew, and is not there again", damaged)
		}
		wantOthers(m)
		if lines := log.lines("level=WARN", "side file"); len(lines) != 0 {
			t.Errorf("%q: the log has %q", damaged, lines)
		}
	})
	if err := os.Remove(path + ".damaged-1"); err != nil {
		t.Error(err)
	}
}

// TestSideFileTable: every kind of side file has a row in the table.
func TestSideFileTable(t *testing.T) {
	sources, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := []string{}
	for _, name := range sources {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 && isKind(v.Values[0]) {
				kinds = append(kinds, v.Names[0].Name)
			}
			return true
		})
	}
	rows := []string{}
	for _, s := range sideFileTable {
		rows = append(rows, s.kind)
	}
	slices.Sort(kinds)
	if slices.Sort(rows); !slices.Equal(kinds, rows) {
		t.Errorf("the kinds of side files are %v, the table has %v", kinds, rows)
	}
}

// isKind reports whether an expression is a sidefile.Kind[T]{...}.
func isKind(e ast.Expr) bool {
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return false
	}
	of, ok := lit.Type.(*ast.IndexExpr)
	if !ok {
		return false
	}
	sel, ok := of.X.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Kind"
}

// TestDamagedThingsCanBeRemoved: a receiver is stopped and a compute destroyed as if their files
// were whole.
func TestDamagedThingsCanBeRemoved(t *testing.T) {
	t.Parallel()
	cfg := newWorkDir(t, nil)
	used(t, cfg, func(_ *Manager, tn *tenant) {
		for _, s := range sideFileTable {
			if err := os.WriteFile(s.make(t, tn), []byte("?"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
	used(t, cfg, func(m *Manager, tn *tenant) {
		if err := m.ReceiveStop(t.Context(), tenantA, "followed"); err != nil {
			t.Error(err)
		}
		if err := m.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{}); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("stop what does not run: got %v", err)
		}
		if err := m.PgStop(t.Context(), tenantA, MainBranch, api.StopOptions{Destroy: true}); err != nil {
			t.Error(err)
		}
	})
	used(t, cfg, func(m *Manager, tn *tenant) {
		computes, err := m.PgList(t.Context(), tenantA)
		receivers, rerr := m.ReceiveList(t.Context(), tenantA)
		if err != nil || rerr != nil || len(computes) != 0 || len(receivers) != 0 {
			t.Errorf("got %v, %v; %v, %v", computes, err, receivers, rerr)
		}
	})
}

// TestComputeWithoutSettings: a compute whose file is damaged, or has no table of settings, can be
// started with settings.
func TestComputeWithoutSettings(t *testing.T) {
	t.Parallel()
	cfg := newWorkDir(t, nil)
	var path string
	used(t, cfg, func(_ *Manager, tn *tenant) { path = sideFileTable[0].make(t, tn) })
	for _, content := range []string{"", "Point = \"main\"\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		used(t, cfg, func(m *Manager, _ *tenant) {
			c, err := m.PgStart(t.Context(), tenantA, MainBranch, set("jit=off"))
			if err != nil || c.Status != api.ComputeRunning || c.Port == 0 {
				t.Errorf("%q: got %+v, %v", content, c, err)
			}
		})
		saved, err := computeKind.Read(path)
		if err != nil || saved.Point != MainBranch || saved.Settings["jit"] != "off" {
			t.Errorf("%q: got %+v, %v", content, saved, err)
		}
	}
}
