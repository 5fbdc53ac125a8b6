package ingest_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/ingest"
)

// patchControl gives a pg_control with another number in it.
func patchControl(off int, v uint32) func(b []byte) []byte {
	return func(b []byte) []byte {
		binary.LittleEndian.PutUint32(b[off:], v)
		binary.LittleEndian.PutUint32(b[288:], pg.CRC32C(b[:288]))
		return b
	}
}

// flip gives a file with another byte at off.
func flip(off int) func(b []byte) []byte {
	return func(b []byte) []byte { b[off] ^= 0x10; return b }
}

// put gives a file with that content.
func put(content string) func(b []byte) []byte {
	return func([]byte) []byte { return []byte(content) }
}

// change replaces a file by what edit makes of it, until the test ends. nil removes it.
func change(t *testing.T, path string, edit func(b []byte) []byte) {
	t.Helper()
	before, err := os.ReadFile(path)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	write := func(b []byte, exists bool) {
		if !exists {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	after := edit(bytes.Clone(before))
	write(after, after != nil)
	t.Cleanup(func() { write(before, exists) })
}

// TestRefusals sees that directories that cannot be imported are not, that the error says
// why in one line, and that nothing of the timeline is left.
func TestRefusals(t *testing.T) {
	needPostgres(t)
	srv := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--data-checksums", "--wal-segsize=1"}})
	wal := "pg_wal/" + xlog.SegmentName(1, srv.Control(t).CheckPoint, 1<<20)
	r := openRepo(t)
	for _, c := range []struct {
		name, path string
		edit       func(b []byte) []byte
		want       error
		says       string
	}{
		{"not a data directory", "PG_VERSION", func([]byte) []byte { return nil }, ingest.ErrNotClean, "not a PostgreSQL data directory"},
		{"version 12", "PG_VERSION", put("12\n"), ingest.ErrVersion, "PostgreSQL 12"},
		{"version 13", "PG_VERSION", put("13\n"), ingest.ErrVersion, "PostgreSQL 13"},
		{"version 20", "PG_VERSION", put("20\n"), ingest.ErrVersion, "PostgreSQL 20"},
		{"a beta", "PG_VERSION", put("19beta1\n"), ingest.ErrVersion, "19beta1"},
		{"wal of another version", wal, func(b []byte) []byte { b[0], b[1] = 0x16, 0xD1; return b }, ingest.ErrDamaged, "magic D116, PostgreSQL 17, want PostgreSQL 15"},
		{"two versions", "PG_VERSION", put("16\n"), ingest.ErrDamaged, "PG_VERSION says that it is PostgreSQL 16's, pg_control that it is PostgreSQL 15's"},
		{"control version", "global/pg_control", patchControl(8, 1201), ingest.ErrVersion, "pg_control_version is 1201: PostgreSQL 12"},
		{"control version of 17, catalog of 15", "global/pg_control", patchControl(8, 1700), ingest.ErrVersion, "catalog_version_no is 202209061: PostgreSQL 15"},
		{"catalog of a beta", "global/pg_control", patchControl(12, 202208121), ingest.ErrVersion, "catalog_version_no is 202208121"},
		{"no version", "PG_VERSION", put("devel\n"), ingest.ErrVersion, "devel"},
		{"in production", "global/pg_control", patchControl(16, 6), ingest.ErrNotClean, "in production"},
		{"standby, stopped", "global/pg_control", patchControl(16, 2), ingest.ErrNotClean, "shut down in recovery"},
		{"control file damaged", "global/pg_control", flip(30), ingest.ErrDamaged, "checksum"},
		{"running", "postmaster.pid", put("1\n"), ingest.ErrNotClean, "postmaster.pid"},
		{"backup", "backup_label", put("x"), ingest.ErrNotClean, "backup_label"},
		{"standby", "standby.signal", put(""), ingest.ErrNotClean, "standby.signal"},
		{"to be recovered", "recovery.signal", put(""), ingest.ErrNotClean, "recovery.signal"},
		{"page damaged", "base/1/1259", flip(8192 + 1000), ingest.ErrDamaged, "base/1/1259: block 1 "},
		{"half a block of an SLRU", "pg_xact/0000", func(b []byte) []byte { return b[:12] }, ingest.ErrDamaged, "12 bytes"},
		{"no wal", wal, func([]byte) []byte { return nil }, ingest.ErrDamaged, "last checkpoint"},
		{"other wal", wal, flip(30), ingest.ErrDamaged, "last checkpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			change(t, filepath.Join(srv.Dir, c.path), c.edit)
			_, err := ingest.Import(t.Context(), r, srv.Dir, ingest.ImportOptions{Name: "main"})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %q, want %q and %v", err, c.says, c.want)
			}
			if _, err := r.ByName("main"); !errors.Is(err, repo.ErrNotFound) {
				t.Errorf("the branch: got %v, want ErrNotFound", err)
			}
		})
	}
	link := filepath.Join(srv.Dir, "pg_tblspc/16400")
	if err := os.Symlink("/nowhere", link); err != nil {
		t.Fatal(err)
	}
	if _, err := ingest.Import(t.Context(), r, srv.Dir, ingest.ImportOptions{Name: "main"}); !errors.Is(err, ingest.ErrDamaged) || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("tablespace away: got %v", err)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if _, err := ingest.Import(t.Context(), r, srv.Dir, ingest.ImportOptions{Name: "main"}); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// TestImport imports a directory with everything in it and compares the first state with
// it.
func TestImport(t *testing.T) {
	needPostgres(t)
	srv := pgtest.Init(t, pgtest.Options{
		InitArgs: []string{"--data-checksums", "--wal-segsize=1"},
		Config:   []string{"max_prepared_transactions=5", "include_dir='conf.d'"},
	})
	if err := os.Mkdir(srv.Dir+"/conf.d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(srv.Dir+"/conf.d/more.conf", []byte("work_mem = '5MB'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"conf.d", "conf.d/more.conf"} {
		uid, gid := pgtest.Owner(t)
		if err := os.Chown(filepath.Join(srv.Dir, path), uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := pgtest.TempDir(t)
	srv.Start(t)
	srv.Psql(t, "CREATE TABLESPACE ts LOCATION '"+elsewhere+"'")
	srv.Psql(t, `CREATE TABLE t(a int PRIMARY KEY) TABLESPACE ts; INSERT INTO t SELECT generate_series(1, 1000);
		CREATE UNLOGGED TABLE u(a int PRIMARY KEY); INSERT INTO u SELECT generate_series(1, 1000);
		BEGIN; INSERT INTO t VALUES (-1); PREPARE TRANSACTION 'p'`)
	srv.Psql(t, "CREATE DATABASE other TABLESPACE ts")
	srv.Stop(t, pgtest.Fast)
	var done, total int64
	tl, err := ingest.Import(t.Context(), openRepo(t), srv.Dir, ingest.ImportOptions{
		Name: "main", Progress: func(_ string, d, n int64) { done, total = d, n },
	})
	if err != nil {
		t.Fatal(err)
	}
	if done != total || total < 20<<20 {
		t.Errorf("progress ended at %d of %d", done, total)
	}
	v := headView(t, tl)
	copied := pgtest.Recover(t, srv, srv.WAL(t), 0)
	compareView(t, v, copied.Dir, true)
	e, err := v.Lookup(t.Context(), "conf.d/more.conf")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := readFile(t.Context(), e.File); err != nil || string(b) != "work_mem = '5MB'\n" {
		t.Errorf("conf.d/more.conf: %q, %v", b, err)
	}
	out := startCopy(t, srv, v)
	if strings.Contains(out, elsewhere) {
		t.Errorf("the copy uses the tablespace of the original:\n%s", out)
	}
}

// TestBigRelation imports a relation of more than one segment, from a directory whose
// configuration is elsewhere.
func TestBigRelation(t *testing.T) {
	needPostgres(t)
	srv := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--wal-segsize=1"}})
	for _, name := range []string{"postgresql.conf", "pg_hba.conf", "pg_ident.conf"} {
		if err := os.Remove(filepath.Join(srv.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	page := make(pg.Page, pg.BlockSize)
	page.Init(0)
	const segment = pg.RelSegBlocks * pg.BlockSize
	for _, f := range []struct {
		name string
		size int64
		off  int64
	}{{"90000", segment, segment - pg.BlockSize}, {"90000.1", segment, 5 * pg.BlockSize}, {"90000.2", 3 * pg.BlockSize, pg.BlockSize}, {"90001", segment, 0}} {
		file, err := os.Create(filepath.Join(srv.Dir, "base/5", f.name))
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Truncate(f.size); err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(page, f.off); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	tl, err := ingest.Import(t.Context(), openRepo(t), srv.Dir, ingest.ImportOptions{Name: "main"})
	if err != nil {
		t.Fatal(err)
	}
	v := headView(t, tl)
	listed := map[string]int64{}
	entries, err := v.ReadDir(t.Context(), "base/5")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name, "9000") {
			listed[e.Name] = e.File.Size()
		}
	}
	for _, want := range []struct {
		name string
		size int64
		off  int64 // of the one page that is not zeros
	}{{"90000", segment, segment - pg.BlockSize}, {"90000.1", segment, 5 * pg.BlockSize}, {"90000.2", 3 * pg.BlockSize, pg.BlockSize}, {"90001", segment, 0}} {
		if listed[want.name] != want.size {
			t.Errorf("%s has %d bytes, want %d", want.name, listed[want.name], want.size)
		}
		e, err := v.Lookup(t.Context(), "base/5/"+want.name)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, pg.BlockSize)
		if _, err := e.File.ReadAt(t.Context(), buf, want.off); err != nil || !bytes.Equal(buf, page) {
			t.Errorf("%s at %d: not the page that was there, %v", want.name, want.off, err)
		}
		other := (want.off + pg.BlockSize) % want.size
		if _, err := e.File.ReadAt(t.Context(), buf, other); err != nil || !bytes.Equal(buf, make([]byte, pg.BlockSize)) {
			t.Errorf("%s at %d: not zeros, %v", want.name, other, err)
		}
	}
	for name, want := range map[string]string{"pg_hba.conf": "127.0.0.1/32 trust", "postgresql.conf": "imported"} {
		e, err := v.Lookup(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := readFile(t.Context(), e.File); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: got %q, %v, want %q in it", name, b, err, want)
		}
	}
	if len(listed) != 4 {
		t.Errorf("listed: %v", listed)
	}
	if _, err := v.Lookup(t.Context(), "base/5/90001.1"); err == nil {
		t.Error("a full segment is followed by an empty one")
	}
}
