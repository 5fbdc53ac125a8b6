package tenants

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"zenith/internal/api"
	"zenith/internal/pg"
)

func checkAll(t *testing.T, m *Manager) (res api.CheckResult, problems []string) {
	t.Helper()
	res, err := m.Check(t.Context(), tenantA, "", func(p string) error {
		problems = append(problems, p)
		return nil
	}, func(string, int64, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	return res, problems
}

// TestCheckSharesPages: branches without changes of their own cost nothing, and a point at which one begins is
// checked where its ancestor has changed since.
func TestCheckSharesPages(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	f.advance(t, main, -1)
	alone, problems := checkAll(t, f.Manager)
	if len(problems) > 0 || alone.Unchecked == "" {
		t.Fatalf("%+v, %q", alone, problems)
	}
	for i := range 5 {
		parent := MainBranch
		if i > 2 {
			parent = fmt.Sprintf("b%d", i-1)
		}
		if _, err := f.BranchCreate(t.Context(), tenantA, fmt.Sprintf("b%d", i), parent, api.BranchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	many, problems := checkAll(t, f.Manager)
	if len(problems) > 0 || many.Branches != alone.Branches+5 || many.Pages != alone.Pages {
		t.Errorf("with five empty branches %+v, %q; without %+v", many, problems, alone)
	}
}

// TestPointsBelowTheHead: a change belongs to the highest point below it.
func TestPointsBelowTheHead(t *testing.T) {
	h := &headCheck{}
	for _, lsn := range []pg.LSN{300, 200, 100} {
		h.points = append(h.points, &pointCheck{lsn: lsn, changed: map[pg.BufferTag]struct{}{}})
	}
	tag := func(b pg.BlockNumber) pg.BufferTag { return pg.BufferTag{Block: b} }
	room := func() bool { return true }
	for b, end := range []pg.LSN{100, 101, 200, 201, 300, 301} {
		h.changes(tag(pg.BlockNumber(b)), end, room)
	}
	var got []string
	for _, p := range h.points {
		for b := range pg.BlockNumber(6) {
			if _, ok := p.changed[tag(b)]; ok {
				got = append(got, fmt.Sprintf("%d:%d", uint64(p.lsn), b))
			}
		}
	}
	if want := "300:5 200:3 200:4 100:1 100:2"; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", got, want)
	}
	h.changes(tag(9), 301, func() bool { return false })
	if h.points[0].changed != nil {
		t.Error("more changes than can be remembered, and not all pages are checked")
	}
}

// TestCheckFindsFiles damages what lies beside the store and the WAL.
func TestCheckFindsFiles(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	f.advance(t, main, -1)
	if err := main.tl.MarkDurable(main.tl.LastLSN()); err != nil {
		t.Fatal(err)
	}
	if _, problems := checkAll(t, f.Manager); len(problems) > 0 {
		t.Fatalf("nothing is damaged: %q", problems)
	}
	dir := f.tenantDir(main.t.id)
	for path, content := range map[string]string{
		filepath.Join("slots", main.tl.ID().String()):                                    "{",
		filepath.Join("receivers", main.tl.ID().String()):                                "{}",
		filepath.Join("pg", "main", "compute.toml"):                                      "Point = \"ma",
		filepath.Join("timelines", main.tl.ID().String(), "durable"):                     "FFFFFFFF00000000\n",
		filepath.Join("timelines", main.tl.ID().String(), "x.damaged-1"):                 "",
		filepath.Join("timelines", main.tl.ID().String(), "work", "keep", "marker.json"): "{",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		before, beforeErr := os.ReadFile(path)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, problems := checkAll(t, f.Manager)
		if len(problems) != 1 || !strings.Contains(problems[0], filepath.Base(path)) && filepath.Base(path) != "durable" {
			t.Errorf("%s: %q", path, problems)
		}
		err := os.Remove(path)
		if beforeErr == nil {
			err = os.WriteFile(path, before, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestCheckOfManyBranches counts what a check does for a thousand branches that have nothing of their own.
func TestCheckOfManyBranches(t *testing.T) {
	t.Parallel()
	const many = 1000
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	f.advance(t, main, -1)
	alone, problems := checkAll(t, f.Manager)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for i := range many {
		if _, err := f.BranchCreate(t.Context(), tenantA, fmt.Sprintf("b%d", i), MainBranch, api.BranchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	res, problems := checkAll(t, f.Manager)
	if len(problems) > 0 || res.Branches != alone.Branches+many || res.Pages != alone.Pages || res.WALBytes != alone.WALBytes {
		t.Errorf("with %d empty branches %+v, %q; without %+v", many, res, problems, alone)
	}
	main.t.mu.Lock()
	defer main.t.mu.Unlock()
	if n := len(main.t.branches); n > 1 { // it has a follower of its WAL, which reads files
		t.Errorf("%d branches were opened for the check", n-1)
	}
}

// TestCheckBesideDeletion: a branch that is deleted and collected while a check runs is no problem, nor is the point
// of its ancestor that was kept for it alone.
func TestCheckBesideDeletion(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	h := f.advance(t, main, -1)
	if _, err := f.BranchCreate(t.Context(), tenantA, "child", "main@"+h.ends[10].String(), api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	collect := func() error {
		_, err := f.GC(t.Context(), tenantA, "", api.GCOptions{Retain: api.Retain{Set: true, Bytes: 1000}, Force: true, Progress: noProgress})
		return err
	}
	if err := collect(); err != nil {
		t.Fatal(err)
	}
	var problems []string
	once := sync.OnceFunc(func() {
		if err := f.BranchDelete(t.Context(), tenantA, "child", true); err != nil {
			t.Error(err)
		}
		if err := collect(); err != nil {
			t.Error(err)
		}
	})
	_, err := f.Check(t.Context(), tenantA, "", func(p string) error { problems = append(problems, p); return nil }, func(string, int64, int64) { once() })
	if err != nil || len(problems) > 0 {
		t.Errorf("%q, %v", problems, err)
	}
	if err := collect(); err != nil || !f.gone(t, h.ends[10]) {
		t.Errorf("the check goes on keeping the point: %v", err)
	}
}
