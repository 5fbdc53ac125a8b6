package datadir_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/tree"
	"zenith/repo"
	"zenith/repo/datadir"
	"zenith/repo/ingest"
	"zenith/repo/store/storetest"
	"zenith/walredo"
)

// freshView is the view of a fresh data directory, and that directory.
func freshView(t *testing.T) (*datadir.View, *pgtest.Server) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	srv := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--data-checksums", "--wal-segsize=1"}})
	r, err := repo.Open(repo.Options{Dir: t.TempDir(), Redo: walredo.Redo, Store: storetest.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	tl, err := ingest.Import(t.Context(), r, srv.Dir, ingest.ImportOptions{Name: "main"})
	if err != nil {
		t.Fatal(err)
	}
	snap, err := tl.At(t.Context(), tl.LastLSN())
	if err != nil {
		t.Fatal(err)
	}
	v, err := datadir.New(t.Context(), snap)
	if err != nil {
		t.Fatal(err)
	}
	return v, srv
}

// TestView looks at all paths of a fresh data directory and at some that are not there.
func TestView(t *testing.T) {
	v, srv := freshView(t)
	t.Run("paths", func(t *testing.T) { testPaths(t, v, srv.Dir) })
	t.Run("absent", func(t *testing.T) { testAbsent(t, v) })
	t.Run("reads", func(t *testing.T) { testReads(t, v) })
	t.Run("control", func(t *testing.T) { testControl(t, v, srv) })
	t.Run("tar", func(t *testing.T) { testTar(t, v) })
}

// absent reports whether path is a file of a fresh data directory that a view does not have.
func absent(path string) bool {
	return strings.HasSuffix(path, "_fsm") || strings.HasSuffix(path, "pg_internal.init") || path == "postmaster.opts" ||
		path == pg.ReplOriginPath || strings.HasPrefix(path, "pg_wal/0") || strings.HasPrefix(path, "pg_stat/") || strings.HasPrefix(path, "pg_subtrans/") || strings.HasPrefix(path, "pg_notify/")
}

// testPaths checks that a view has what initdb made and nothing else, that each directory
// lists what can be looked up, and that files have their contents.
func testPaths(t *testing.T, v *datadir.View, dir string) {
	want := map[string]bool{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		path, rerr := filepath.Rel(dir, name)
		if path != "." && !absent(path) {
			want[path] = d.IsDir()
		}
		return errors.Join(err, rerr)
	})
	if err != nil {
		t.Fatal(err)
	}
	segments := 0
	walk(t, v, "", func(path string, e tree.Entry) {
		isDir, ok := want[path]
		if strings.HasPrefix(path, "pg_wal/0") {
			segments++
		} else if !ok || isDir != e.Dir {
			t.Errorf("%s (directory: %v) should not be there", path, e.Dir)
		}
		delete(want, path)
		again, err := v.Lookup(t.Context(), path)
		if err != nil || again.Dir != e.Dir || again.Name != e.Name {
			t.Errorf("look up %s: got %+v, %v", path, again, err)
			return
		}
		if e.Dir || path == "global/pg_control" {
			return
		}
		disk, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []tree.File{e.File, again.File} {
			if got := read(t, f, 0, int(f.Size())); !bytes.Equal(got, disk) {
				t.Errorf("%s differs", path)
			}
		}
	})
	for path := range want {
		t.Errorf("%s is missing", path)
	}
	if segments != 1 {
		t.Errorf("pg_wal has %d segments, want the checkpoint's", segments)
	}
}

func testAbsent(t *testing.T, v *datadir.View) {
	for _, path := range []string{
		"none", "base/5/none", "base/5/1259_fsm", "base/5/1259.1", "base/5/1259_init", "base/77", "base/77/1259", "base/5/t3_1259",
		"pg_xact/0001", "pg_wal/000000010000000000000099", "pg_wal/none", "pg_twophase/00000001", "pg_tblspc/16400",
		"pg_tblspc/16400/PG_15_202209061", "pg_tblspc/16400/PG_15_202209061/5", "postmaster.pid", "base/5/1259/x", "conf.d",
		"PG_15_202209061", "pg_logical/replorigin_checkpoint", "/", "base/", "./base",
	} {
		if e, err := v.Lookup(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("look up %q: got %+v, %v, want ErrNotExist", path, e, err)
		}
		if list, err := v.ReadDir(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("list %q: got %d entries, %v, want ErrNotExist", path, len(list), err)
		}
	}
	if _, err := v.ReadDir(t.Context(), "PG_VERSION"); err == nil {
		t.Error("a file was listed")
	}
}

// testReads reads pieces of files that begin and end anywhere.
func testReads(t *testing.T, v *datadir.View) {
	paths := []string{"base/5/1259", "pg_xact/0000", "PG_VERSION", "global/pg_control"}
	walk(t, v, "pg_wal", func(path string, e tree.Entry) {
		if !e.Dir {
			paths = append(paths, path)
		}
	})
	for _, path := range paths {
		e, err := v.Lookup(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		f := e.File
		all := read(t, f, 0, int(f.Size()))
		for _, c := range []struct{ off, n int }{{0, 1}, {1, 100}, {4096, 4096}, {4096, 12288}, {8191, 2}, {8192, 8192}, {100, 30000}, {0, 16384}} {
			if c.off >= len(all) {
				continue
			}
			want := all[c.off:min(c.off+c.n, len(all))]
			if got := read(t, f, c.off, c.n); !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes at %d are wrong: got %d bytes", path, c.n, c.off, len(got))
			}
		}
		if n, err := f.ReadAt(t.Context(), make([]byte, 10), f.Size()); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: read at the end: got %d, %v", path, n, err)
		}
	}
}

// testControl checks that the control file is that of a stopped server, and that pg_waldump
// finds the checkpoint that it names.
func testControl(t *testing.T, v *datadir.View, srv *pgtest.Server) {
	e, err := v.Lookup(t.Context(), "global/pg_control")
	if err != nil {
		t.Fatal(err)
	}
	c, err := pg.ParseControlFile(read(t, e.File, 0, int(e.File.Size())))
	if err != nil {
		t.Fatal(err)
	}
	want := srv.Control(t)
	if c.State != pg.DBShutdowned || c.CheckPoint != want.CheckPoint || c.CheckPointCopy.Redo != want.CheckPoint || c.SystemID != want.SystemID {
		t.Errorf("pg_control: got %+v, want %+v", c, want)
	}
}

// testTar checks that an archive has everything in it.
func testTar(t *testing.T, v *datadir.View) {
	want := map[string]tree.Entry{}
	walk(t, v, "", func(path string, e tree.Entry) { want[path] = e })
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	done, total := int64(0), int64(0)
	err := datadir.ExportTar(t.Context(), v, w, datadir.ExportOptions{Progress: func(_ string, d, n int64) { done, total = d, n }})
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	if done != total || done < 20<<20 {
		t.Errorf("progress ended at %d of %d", done, total)
	}
	seen := map[string]bool{}
	for r := tar.NewReader(&buf); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		path := strings.TrimSuffix(h.Name, "/")
		e, ok := want[path]
		if !ok || e.Dir != (h.Typeflag == tar.TypeDir) {
			t.Errorf("%s should not be in the tar", h.Name)
			continue
		}
		delete(want, path)
		if dir := filepath.Dir(path); dir != "." && !seen[dir] {
			t.Errorf("%s is before its directory", path)
		}
		seen[path] = e.Dir
		if got, err := io.ReadAll(r); err != nil || !e.Dir && !bytes.Equal(got, read(t, e.File, 0, int(e.File.Size()))) {
			t.Errorf("%s differs in the tar: %v", path, err)
		}
	}
	for path := range want {
		t.Errorf("%s is not in the tar", path)
	}
}

// read reads n bytes, or up to the end of the file.
func read(t *testing.T, f tree.File, off, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	got, err := f.ReadAt(context.Background(), b, int64(off))
	if err != nil && !errors.Is(err, io.EOF) || err == nil && got < n {
		t.Fatalf("read %d bytes at %d: got %d, %v", n, off, got, err)
	}
	return b[:got]
}

// walk calls fn with everything in a view.
func walk(t *testing.T, v *datadir.View, dir string, fn func(path string, e tree.Entry)) {
	t.Helper()
	err := tree.Walk(t.Context(), v, dir, func(path string, e tree.Entry) error { fn(path, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
}
