package ingest_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/repo/ingest"
)

// TestImportOddFiles imports a data directory with files that PostgreSQL starts on and history cannot keep,
// or keeps in its own way: each is imported as it is, or told by name.
func TestImportOddFiles(t *testing.T) {
	needPostgres(t)
	srv := pgtest.Init(t, pgtest.Options{})
	at := func(name string) string { return filepath.Join(srv.Dir, name) }
	big := bytes.Repeat([]byte("# line\n"), 300_000)
	elsewhere := pgtest.TempDir(t)
	errs := []error{
		os.MkdirAll(at("conf.d/empty"), 0o700),
		os.WriteFile(at("conf.d/big.conf"), big, 0o600),
		os.Symlink("/nowhere/at/all", at("dangling")),
		os.Symlink(elsewhere, at("elsewhere")),
		unix.Mkfifo(at("fifo"), 0o600),
		os.WriteFile(at("core"), nil, 0o600), os.Truncate(at("core"), 1<<30),
		os.MkdirAll(at("pg_replslot/standby1"), 0o700),
		os.Remove(at("pg_ident.conf")),
		os.WriteFile(at("postmaster.opts"), []byte("/bin/postgres \"-D\" \"x\" \"-c\" \"config_file="+elsewhere+"/postgresql.conf\"\n"), 0o600),
		os.Rename(at("postgresql.conf"), elsewhere+"/postgresql.conf"),
		os.Mkdir(elsewhere+"/conf.d", 0o700),
		os.WriteFile(elsewhere+"/conf.d/debian.conf", []byte("work_mem='5MB'\n"), 0o600),
	}
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	// A crash while a table was extended leaves less than a block at its end.
	const torn = "base/1/1259"
	change(t, at(torn), func(b []byte) []byte { return append(b, make([]byte, 100)...) })
	blocks, err := os.Stat(at(torn))
	if err != nil {
		t.Fatal(err)
	}

	said := map[string]string{}
	tl, err := ingest.Import(t.Context(), openRepo(t), srv.Dir, ingest.ImportOptions{
		Name: "main", LeftOut: func(path, why string) { said[path] = why },
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"dangling": "link to nothing", "elsewhere": "link to a directory", "fifo": "a fifo", "core": "1073741824 bytes",
		"pg_replslot/standby1": "replication slot", "pg_ident.conf": "default", torn: "last 100 bytes",
	}
	for path, why := range want {
		if !strings.Contains(said[path], why) {
			t.Errorf("%s: told %q, want something about %q", path, said[path], why)
		}
	}
	if len(said) != len(want) {
		t.Errorf("told about %v", slices.Sorted(maps.Keys(said)))
	}
	snap, err := tl.AtHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]byte{
		"conf.d/big.conf": big, "conf.d/debian.conf": []byte("work_mem='5MB'\n"), "conf.d/empty/.keep": {}, "pg_ident.conf": {},
	} {
		if got, err := snap.ReadFile(t.Context(), path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v; want %d", path, len(got), err, len(want))
		}
	}
	if got, err := snap.ReadFile(t.Context(), "postgresql.conf"); err != nil || !bytes.Contains(got, []byte("max_connections")) {
		t.Errorf("postgresql.conf is not that of %s: %d bytes, %v", elsewhere, len(got), err)
	}
	n, _, err := snap.RelSize(t.Context(), pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: pg.DefaultTablespace, DBOID: 1, RelNumber: 1259}})
	if err != nil || int64(n) != blocks.Size()/pg.BlockSize {
		t.Errorf("%s has %d blocks, %v; want %d", torn, n, err, blocks.Size()/pg.BlockSize)
	}
}
