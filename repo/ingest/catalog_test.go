package ingest_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/repo/catalog"
	"zenith/walredo"
)

// TestCatalog: names as of a state are those that its own postgres says, also where catalogs were rewritten, a
// transaction had not ended, and another had aborted.
func TestCatalog(t *testing.T) {
	needPostgres(t)
	base := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--wal-segsize=1"}, Config: []string{"wal_keep_size=1GB", "autovacuum=off"}})
	busy := base.Copy(t)
	busy.Start(t)
	busy.Psql(t, `CREATE TABLE a(i int PRIMARY KEY, t text); CREATE SCHEMA "Odd one"; CREATE TABLE "Odd one".b(t text); CREATE VIEW v AS SELECT 1 AS one;
		CREATE TABLE gone(i int); DROP TABLE gone; BEGIN; CREATE TABLE aborted(i int); ROLLBACK; ALTER TABLE a RENAME TO renamed;
		CREATE TABLE p(i int) PARTITION BY LIST (i); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE SEQUENCE s;
		TRUNCATE renamed; VACUUM FULL pg_class; VACUUM FULL pg_namespace; CREATE DATABASE "two words"; REINDEX SYSTEM postgres;
		INSERT INTO renamed VALUES (1, repeat('x', 100))`)
	open := busy.Client(t, "psql", "-XAtq")
	in, err := open.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := open.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := open.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, `BEGIN; CREATE TABLE running(i int); SELECT 'made';`)
	if _, err := fmt.Fscanln(out, new(string)); err != nil {
		t.Fatal(err)
	}
	want := strings.Split(busy.Psql(t, `CHECKPOINT; SELECT c.oid, c.relname, n.nspname, c.relkind, coalesce(pg_relation_filenode(c.oid), 0),
		coalesce((SELECT indrelid FROM pg_index WHERE indexrelid = c.oid), (SELECT t.oid FROM pg_class t WHERE t.reltoastrelid = c.oid), 0)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace`), "\n")
	db := busy.Psql(t, "SELECT oid FROM pg_database WHERE datname = 'postgres'")
	busy.Stop(t, pgtest.Immediate)
	in.Close()
	if err := open.Wait(); err == nil {
		t.Log("psql ended well although its server was stopped")
	}

	_, tl := follow(t, base, busy, walredo.Cluster{LogHints: true})
	snap, err := tl.AtHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Of(t.Context(), snap)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	var databases []pg.OID
	err = snap.Databases(t.Context(), func(_, oid pg.OID) error {
		databases = append(databases, oid)
		names = append(names, c.Database(oid))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"postgres", "template0", "template1", "two words"}) {
		t.Errorf("databases %q", names)
	}
	var got []string
	for _, oid := range databases {
		rels, err := c.Relations(t.Context(), oid)
		if err != nil || len(rels) == 0 {
			t.Fatal(len(rels), err)
		}
		if oid.String() != db {
			continue
		}
		for _, r := range rels {
			got = append(got, fmt.Sprintf("%d|%s|%s|%c|%d|%d", r.OID, r.Name, r.Schema, r.Kind, r.Locator.RelNumber, r.Of))
			if found, err := c.ByLocator(t.Context(), r.Locator); err != nil || r.Locator.RelNumber != 0 && (found == nil || found.OID != r.OID) {
				t.Errorf("%v is found as %v, %v", &r, found, err)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		i := 0
		for i < min(len(got), len(want)) && got[i] == want[i] {
			i++
		}
		t.Errorf("%d relations, not %d; the first difference: %q, not %q", len(got), len(want), at(got, i), at(want, i))
	}
}

func at(list []string, i int) string {
	return cmp.Or(slices.Concat(list, []string{""})[min(i, len(list))], "nothing")
}
