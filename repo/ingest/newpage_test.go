package ingest_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
)

// TestNewPageByDifference has RUM fill an index without full page writes: it logs new pages as
// differences without images, which stock replay takes for missing pages. So the pages are compared
// with those that the server itself has written.
func TestNewPageByDifference(t *testing.T) {
	needPostgres(t)
	lib, err := exec.Command(filepath.Join(pgtest.BinDir(t), "pg_config"), "--pkglibdir").Output()
	if err != nil {
		t.Fatal(err)
	}
	if found, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(lib)), "rum.so")); err != nil || len(found) == 0 {
		t.Skip("needs postgresql-15-rum")
	}
	base := pgtest.Init(t, pgtest.Options{Config: []string{"wal_keep_size=1GB", "full_page_writes=off"}})
	busy := base.Copy(t)
	busy.Start(t)
	busy.Psql(t, `CREATE EXTENSION rum; CREATE TABLE d(id serial, arr int[]);
		CREATE INDEX di ON d USING rum(arr rum_anyarray_ops);
		INSERT INTO d(arr) SELECT array[g % 100, (g * 7) % 1000] FROM generate_series(1, 20000) g;
		DELETE FROM d WHERE id % 3 = 0; VACUUM d;
		INSERT INTO d(arr) SELECT array[g % 50, (g * 3) % 700] FROM generate_series(1, 5000) g; VACUUM d`)
	path := busy.Psql(t, "SELECT pg_relation_filepath('di')")
	busy.Stop(t, pgtest.Fast)

	tl, in := imported(t, base, busy)
	if _, err := in.Catchup(t.Context()); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(busy.Dir, path))
	if err != nil {
		t.Fatal(err)
	}
	snap, err := tl.AtHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	index := pgtest.Version().ParsePath(path).Fork
	if n, _, err := snap.RelSize(t.Context(), index); err != nil || int(n)*pg.BlockSize != len(want) || n < 30 {
		t.Fatalf("the index has %d blocks (%v), and %d bytes in the server's directory", n, err, len(want))
	}
	page := make(pg.Page, pg.BlockSize)
	for b := range pg.BlockNumber(len(want) / pg.BlockSize) {
		if err := snap.ReadPage(t.Context(), index.Tag(b), page); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(page, want[int(b)*pg.BlockSize:][:pg.BlockSize]) {
			t.Errorf("block %d is not the server's", b)
		}
	}
}
