package ingest_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/repo"
	"zenith/repo/datadir"
	"zenith/walredo"
)

var oracleBig = flag.Bool("oracle.big", false, "run TestSecondFile, which reads some gigabytes")

// TestSpecial is the oracle on relations that are special: unlogged with all kinds of indexes,
// mapped, with holes, in tablespaces, of extensions that log by GENERIC.
func TestSpecial(t *testing.T) {
	needPostgres(t)
	base := pgtest.Init(t, pgtest.Options{
		InitArgs: []string{"--wal-segsize=4"},
		Config:   []string{"wal_keep_size=10GB", "allow_in_place_tablespaces=on", "wal_log_hints=on"},
	})
	base.Start(t)
	base.Psql(t, "UPDATE pg_database SET datallowconn = true")
	base.Stop(t, pgtest.Fast)
	busy := base.Copy(t)
	busy.Start(t)
	busy.Run(t, "psql", "-XAtq", "-f", testFile(t, "special.sql"))
	busy.Stop(t, pgtest.Immediate)
	r, tl := follow(t, base, busy, walredo.Cluster{LogHints: true})
	ends, _ := listRecords(t, tl, existing([]string{
		"Generic/Generic", "RelMap/UPDATE", "Database/CREATE_FILE_COPY", "Database/CREATE_WAL_LOG", "Database/DROP",
		"Tablespace/CREATE", "Hash/ADD_OVFL_PAGE", "Hash/SPLIT_COMPLETE", "Hash/SQUEEZE_PAGE", "XLOG/FPI_FOR_HINT", "XLOG/FPI",
	}))
	rnd := rand.New(rand.NewPCG(*oracleSeed, 3))
	points := []pg.LSN{ends[len(ends)-1]}
	for range *oraclePoints {
		points = append(points, ends[rnd.IntN(len(ends))])
	}
	compareReplays(t, r, tl, pgtest.NewReplay(t, base, busy.WAL(t)), points)
	startCopy(t, base, headView(t, tl))
}

// compareReplays compares states with those of a stock recovery that goes from one to the next.
func compareReplays(t *testing.T, r *repo.Repository, tl *repo.Timeline, replay *pgtest.Replay, points []pg.LSN) {
	t.Helper()
	slices.Sort(points)
	for i, at := range slices.Compact(points) {
		view, err := datadir.New(t.Context(), snapshot(t, r, tl, at, i))
		if err != nil {
			t.Fatal(err)
		}
		compareView(t, view, replay.To(t, at).Dir, true)
		if t.Failed() {
			t.Fatalf("compared at %v", at)
		}
	}
}

// TestSecondFile gives a table a gibibyte of pages that were never written, so that its rows
// go on in a second file, and has VACUUM cut both.
func TestSecondFile(t *testing.T) {
	if !*oracleBig {
		t.Skip("reads some gigabytes: make oracle")
	}
	base := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--wal-segsize=4", "--data-checksums"}, Config: []string{"wal_keep_size=10GB"}})
	base.Start(t)
	base.Psql(t, "CREATE TABLE big(a int, b text)")
	file := base.Psql(t, "SELECT pg_relation_filepath('big')")
	base.Stop(t, pgtest.Fast)
	if err := os.Truncate(filepath.Join(base.Dir, file), pg.BlockSize*pg.RelSegBlocks); err != nil {
		t.Fatal(err)
	}
	busy := base.Copy(t)
	busy.Start(t)
	busy.Psql(t, `INSERT INTO big SELECT g, repeat('b', 1000) FROM generate_series(1, 400) g; CREATE INDEX ON big(a);
		UPDATE big SET b = 'short' WHERE a % 2 = 0; DELETE FROM big WHERE a > 300`)
	two := busy.LSN(t, "SELECT pg_current_wal_insert_lsn()")
	busy.Psql(t, "DELETE FROM big")
	busy.Psql(t, "VACUUM (INDEX_CLEANUP on) big")
	busy.Psql(t, "INSERT INTO big VALUES (1, 'one')")
	busy.Stop(t, pgtest.Immediate)
	r, tl := follow(t, base, busy, walredo.Cluster{LogHints: true})
	ends, _ := listRecords(t, tl, []string{"Storage/TRUNCATE"})
	compareReplays(t, r, tl, pgtest.NewReplay(t, base, busy.WAL(t)), []pg.LSN{two, ends[len(ends)-1]})
	for at, want := range map[pg.LSN]bool{two: true, ends[len(ends)-1]: false} {
		view, err := datadir.New(t.Context(), snapshot(t, r, tl, at, 0))
		if err != nil {
			t.Fatal(err)
		}
		if e, err := view.Lookup(t.Context(), file+".1"); err == nil && e.File.Size() > 0 != want {
			t.Errorf("%s.1 at %v: %+v", file, at, e)
		}
	}
	startCopy(t, base, headView(t, tl))
}

// TestManyDrops drops relations by the thousand in one transaction: what that costs does not
// grow faster than they are many.
func TestManyDrops(t *testing.T) {
	needPostgres(t)
	srv := pgtest.Init(t, pgtest.Options{
		InitArgs: []string{"--wal-segsize=16"},
		Config:   []string{"wal_keep_size=10GB", "max_locks_per_transaction=400"},
	})
	base := srv.Copy(t)
	tl, in := imported(t, base, srv)
	srv.Start(t)
	srv.Psql(t, `CREATE PROCEDURE make(n int, name text) LANGUAGE plpgsql AS $$
		BEGIN FOR i IN 1..n LOOP EXECUTE format('CREATE TABLE %s_%s()', name, i); END LOOP; END $$`)
	step := func(sql string) time.Duration {
		t.Helper()
		srv.Psql(t, sql)
		srv.Psql(t, "SELECT pg_switch_wal()")
		giveWAL(t, srv.WAL(t), tl)
		began := cpu(t)
		if _, err := in.Catchup(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := tl.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		return cpu(t) - began
	}
	drop := func(name string) time.Duration {
		t.Helper()
		return step(`DO $$ DECLARE r record; BEGIN FOR r IN SELECT relname FROM pg_class WHERE relname LIKE '` + name + `\_%' LOOP
			EXECUTE format('DROP TABLE %I', r.relname); END LOOP; END $$`)
	}
	step("CALL make(500, 'few')")
	step("CALL make(4000, 'many')")
	few, many := drop("few"), drop("many")
	t.Logf("500 drops: %v, 4000: %v of CPU", few, many)
	if many > 24*few+time.Second {
		t.Errorf("4000 drops cost %v, 500 cost %v: far more than eight times as much", many, few)
	}
	srv.Stop(t, pgtest.Immediate)
	compareView(t, headView(t, tl), pgtest.Recover(t, base, srv.WAL(t), tl.LastLSN()).Dir, true)
}

// cpu is the processor time that the test has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
