package ingest_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/datadir"
	"zenith/repo/ingest"
	"zenith/walredo"
)

var (
	oraclePoints  = flag.Int("oracle.points", 4, "how many points in the WAL TestOracle compares with stock recovery")
	oracleSeed    = flag.Uint64("oracle.seed", 1, "chooses the points and the server; 0: another each time")
	oracleSeconds = flag.Int("oracle.seconds", 4, "how long the busy server of TestOracle runs")
	oracleAt      = flag.String("oracle.at", "", "the one LSN to compare")
	oracleConfig  = flag.String("oracle.config", "", "settings of TestOracle's server, name=value, with semicolons between")
	oracleSums    = flag.String("oracle.checksums", "", "on or off: whether TestOracle's server has data checksums; else the seed says")
)

// TestOracle compares states of history with what stock PostgreSQL's recovery makes of the
// same base and the same WAL cut there: every file, raw bytes. Then stock postgres starts
// on a copy of the state, without recovery.
func TestOracle(t *testing.T) {
	needPostgres(t)
	seed := *oracleSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	checksums, config := kindOfServer(rnd, pgtest.Default(t))
	t.Logf("-oracle.seed=%d: checksums %v, %v", seed, checksums, config)
	base, busy := busyServer(t, checksums, config)
	r, tl := follow(t, base, busy, walredo.Cluster{LogHints: checksums})
	ends, forgot := listRecords(t, tl, existing(mustDo))
	t.Logf("%d records up to %v", len(ends), tl.LastLSN())
	for i := range *oraclePoints {
		at := ends[rnd.IntN(len(ends))]
		switch {
		case *oracleAt != "":
			var err error
			if at, err = pg.ParseLSN(*oracleAt); err != nil {
				t.Fatal(err)
			}
		case i == 0:
			at = ends[len(ends)-1]
		}
		t.Run(at.String(), func(t *testing.T) {
			snap := snapshot(t, r, tl, at, i)
			from := base.Copy(t)
			set := snap.State().Settings
			from.Configure(t, fmt.Sprintf("track_commit_timestamp=%v", set.TrackCommitTimestamp), fmt.Sprintf("max_connections=%d", set.MaxConnections))
			ref := pgtest.Recover(t, from, busy.WAL(t), at)
			view, err := datadir.New(t.Context(), snap)
			if err != nil {
				t.Fatal(err)
			}
			compareView(t, view, ref.Dir, at < forgot)
			if i%5 == 0 {
				startCopy(t, base, view)
			}
		})
		if *oracleAt != "" {
			break
		}
	}
}

// needPostgres skips what takes a server, and its time, in a short run.
func needPostgres(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
}

// snapshot gives the state at an LSN: of the timeline or of a branch there, read from
// memory or from the store.
func snapshot(t *testing.T, r *repo.Repository, tl *repo.Timeline, at pg.LSN, i int) *repo.Snapshot {
	t.Helper()
	if i == *oraclePoints/2 {
		if err := tl.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if i%2 == 1 {
		branch, err := r.Branch(t.Context(), repo.NewBranch{Name: fmt.Sprint("branch", i)}, tl, at)
		if err != nil {
			t.Fatal(err)
		}
		tl = branch
	}
	snap, err := tl.At(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// kindOfServer chooses what matters to what is in the WAL.
func kindOfServer(rnd *rand.Rand, server pgtest.Installation) (checksums bool, config []string) {
	checksums = rnd.IntN(3) > 0
	fpw, compression := rnd.IntN(2) == 0, []string{"off", "pglz", "lz4", "zstd"}[rnd.IntN(4)]
	if !server.Has("pg_resetwal") {
		compression = "on" // pglz: an installation of the server alone has no other libraries
	}
	if *oracleSums != "" {
		checksums = *oracleSums == "on"
	}
	if *oracleConfig != "" {
		return checksums, strings.Split(*oracleConfig, ";")
	}
	return checksums, []string{fmt.Sprintf("full_page_writes=%v", fpw), "wal_compression=" + compression}
}

// busyServer makes a data directory, the base, and lets a server on a copy of it do all
// kinds of things. The server has crashed when it returns.
func busyServer(t *testing.T, checksums bool, config []string) (base, busy *pgtest.Server) {
	t.Helper()
	args := []string{"--wal-segsize=4"}
	if checksums {
		args = append(args, "--data-checksums")
	} else if pgtest.Version().ChecksumsByDefault {
		args = append(args, "--no-data-checksums")
	}
	base = pgtest.Init(t, pgtest.Options{
		InitArgs: args,
		Config: append([]string{
			"max_prepared_transactions=20", "allow_in_place_tablespaces=on",
			"max_wal_size=100GB", "wal_keep_size=100GB", "autovacuum=on", "autovacuum_naptime=1s", "max_connections=30",
		}, config...),
	})
	nearSegmentEnds(t, base)
	base.Start(t)
	base.Run(t, "pgbench", "-i", "-s", "1", "-q")
	base.Psql(t, "CREATE TABLE acc(id int PRIMARY KEY, bal int); INSERT INTO acc SELECT g, 0 FROM generate_series(1, 200) g")
	base.Stop(t, pgtest.Fast)
	busy = base.Copy(t)
	busy.Configure(t, "track_commit_timestamp=on")
	busy.Start(t)
	work(t, busy)
	// Commit timestamps are forgotten, and begin anew after a crash.
	busy.Stop(t, pgtest.Fast)
	busy.Configure(t, "track_commit_timestamp=off", "max_connections=31")
	busy.Start(t)
	busy.Psql(t, "CREATE TABLE later AS SELECT * FROM acc")
	busy.Run(t, "pgbench", "-n", "-c", "3", "-t", "100", "-f", testFile(t, "lock.pgbench"))
	busy.Stop(t, pgtest.Immediate)
	busy.Configure(t, "track_commit_timestamp=on")
	busy.Start(t)
	busy.Psql(t, "INSERT INTO later SELECT * FROM acc")
	busy.Run(t, "pgbench", "-n", "-c", "3", "-t", "500", "-f", testFile(t, "lock.pgbench"))
	busy.Stop(t, pgtest.Immediate)
	return base, busy
}

// nearSegmentEnds puts the counters of transactions and multixacts just before the end of
// their SLRU's first segment, so that the load goes into the next one and VACUUM removes
// the first.
func nearSegmentEnds(t *testing.T, srv *pgtest.Server) {
	t.Helper()
	counters{xid: 1040000, multi: 65500, oldestMulti: 1, offset: 52200}.set(t, srv)
}

// work keeps the server busy with several clients.
func work(t *testing.T, srv *pgtest.Server) {
	t.Helper()
	seconds := fmt.Sprint(*oracleSeconds)
	clients := [][]string{
		{"pgbench", "-n", "-c", "2", "-T", seconds},
		{"pgbench", "-n", "-c", "3", "-T", seconds, "-f", testFile(t, "lock.pgbench")},
	}
	done := make(chan error, len(clients))
	for _, c := range clients {
		cmd := srv.Client(t, c[0], c[1:]...)
		go func() {
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%v: %w\n%s", c, err, out)
			}
			done <- err
		}()
	}
	// More than a page of pg_xact in one transaction, and segments to remove.
	srv.Psql(t, `CREATE TABLE sub(a int);
		DO $$ BEGIN FOR i IN 1..35000 LOOP BEGIN INSERT INTO sub VALUES (i); EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$;
		UPDATE pg_database SET datallowconn = true WHERE datname = 'template0'`)
	srv.Run(t, "vacuumdb", "--all", "--freeze", "-q")
	for deadline, round := time.Now().Add(time.Duration(*oracleSeconds)*time.Second), 1; ; round++ {
		for _, load := range []string{"index.sql", "load.sql"} {
			srv.Run(t, "psql", "-X", "-q", "-v", fmt.Sprintf("round=%d", round), "-f", testFile(t, load))
		}
		if time.Now().After(deadline) {
			break
		}
	}
	for range clients {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// testFile is a copy of a file of testdata that the server's user can read.
func testFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if !pgtest.Default(t).Has("pg_resetwal") { // see kindOfServer
		b = bytes.ReplaceAll(b, []byte("wal_compression = lz4"), []byte("wal_compression = on"))
	}
	path := filepath.Join(pgtest.TempDir(t), name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// openRepo makes an empty repository.
func openRepo(t *testing.T) *repo.Repository { return openRepoFor(t, walredo.Cluster{LogHints: true}) }

// openRepoFor makes one for a kind of cluster.
func openRepoFor(t *testing.T, c walredo.Cluster) *repo.Repository {
	t.Helper()
	r, err := repo.Open(repo.Options{Dir: t.TempDir(), Redo: c.Redo})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close the repository: %v", err)
		}
	})
	return r
}

// follow imports base and takes in the WAL that busy wrote.
func follow(t *testing.T, base, busy *pgtest.Server, c walredo.Cluster) (*repo.Repository, *repo.Timeline) {
	t.Helper()
	start := time.Now()
	r := openRepoFor(t, c)
	tl, err := ingest.Import(t.Context(), r, base.Dir, ingest.ImportOptions{Name: "main"})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("import: %v", time.Since(start))
	giveWAL(t, busy.WAL(t), tl)
	in, err := ingest.New(tl, ingest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	head, err := in.Catchup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ingest: %v to %v in %v", tl.StartLSN(), head, time.Since(start))
	return r, tl
}

// giveWAL puts a server's WAL segments into the timeline.
func giveWAL(t *testing.T, wal pgtest.WALDir, tl *repo.Timeline) {
	t.Helper()
	entries, err := os.ReadDir(wal.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		_, start, ok := xlog.ParseSegmentName(e.Name(), wal.SegSize)
		if !ok || start+pg.LSN(wal.SegSize) <= tl.StartLSN() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(wal.Dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(tl.SegmentPath(start), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// mustDo are records that the busy server must have written, so that the oracle is about
// them: all whose effects ingest knows more of than pages, and what extends SLRUs.
var mustDo = []string{
	"Transaction/COMMIT", "Transaction/ABORT", "Transaction/PREPARE", "Transaction/COMMIT_PREPARED", "Transaction/ABORT_PREPARED",
	"Storage/CREATE", "Storage/TRUNCATE", "Database/CREATE_FILE_COPY", "Database/CREATE_WAL_LOG", "Database/DROP",
	"Tablespace/CREATE", "RelMap/UPDATE", "CLOG/ZEROPAGE", "CLOG/TRUNCATE", "CommitTs/ZEROPAGE", "CommitTs/TRUNCATE",
	"MultiXact/ZERO_OFF_PAGE", "MultiXact/ZERO_MEM_PAGE", "MultiXact/CREATE_ID", "MultiXact/TRUNCATE_ID",
	"XLOG/PARAMETER_CHANGE", "XLOG/SWITCH", "ReplicationOrigin/SET", "Heap2/VISIBLE", "Sequence/LOG",
}

// existing gives those of the records' names that the server's major version has: 14 copies the files of each new
// database, and 19 sets bits of the visibility map in other records.
func existing(names []string) []string {
	v := pgtest.Version()
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		switch name {
		case "Database/CREATE_FILE_COPY", "Database/CREATE_WAL_LOG":
			return v == pg.V14
		case "Heap2/VISIBLE":
			return v.PruneSetsVM
		}
		return false
	})
}

// listRecords lists the ends of all records of the timeline, among which must be those
// named, and tells where commit timestamps were forgotten.
func listRecords(t *testing.T, tl *repo.Timeline, must []string) (ends []pg.LSN, forgot pg.LSN) {
	t.Helper()
	forgot = ^pg.LSN(0)
	did := map[string]int{}
	var rec xlog.Record
	r := xlog.NewReader(tl.WAL(), tl.WALConfig(), tl.StartLSN())
	for {
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, rec.EndLSN)
		rm, op := walredo.Name(&rec)
		did[rm+"/"+op]++
		if rec.RmgrID == xlog.RmXLOG && rec.Op() == xlog.XLOGParameterChange {
			set, err := xlog.ParseParameterChange(&rec)
			if err != nil {
				t.Fatal(err)
			}
			if !set.TrackCommitTimestamp {
				forgot = min(forgot, rec.EndLSN)
			}
		}
	}
	for _, name := range must {
		if did[name] == 0 {
			t.Errorf("the server did no %s: the oracle says nothing about it", name)
		}
	}
	if got, want := tl.LastLSN(), r.EndLSN(); got != want {
		t.Fatalf("head is %v, the WAL ends at %v", got, want)
	}
	return ends, forgot
}

// startCopy starts stock postgres on a copy of the view, has everything checked, and gives
// the server's log.
func startCopy(t *testing.T, base *pgtest.Server, v *datadir.View) (log string) {
	t.Helper()
	srv := base.Copy(t)
	srv.Unpack(t, func(w *tar.Writer) error { return datadir.ExportTar(t.Context(), v, w, datadir.ExportOptions{}) })
	srv.Configure(t, "autovacuum=off")
	srv.Start(t)
	// While one is open, pg_check_visible takes what is newer for invisible, in all databases.
	for _, gid := range strings.Fields(srv.Psql(t, "SELECT gid FROM pg_prepared_xacts WHERE database = 'postgres'")) {
		srv.Psql(t, fmt.Sprintf("COMMIT PREPARED '%s'", gid))
	}
	for _, db := range strings.Fields(srv.Psql(t, "SELECT datname FROM pg_database WHERE datallowconn AND datconnlimit <> -2")) {
		srv.Run(t, "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", db, "-c", checkSQL)
	}
	srv.Psql(t, "CREATE TABLE after AS SELECT * FROM pg_class; CHECKPOINT")
	srv.Stop(t, pgtest.Fast)
	log, _, _ = strings.Cut(srv.Log(t), "received fast shutdown request")
	for _, bad := range []string{"not properly shut down", "recovery", "redo starts", "redo done", "PANIC", "FATAL", "ERROR", "WARNING"} {
		if strings.Contains(log, bad) {
			t.Errorf("the log of the server on the copy says %q:\n%s", bad, log)
			break
		}
	}
	if v.Snapshot().State().ChecksumVersion != 0 && pgtest.Default(t).Has("pg_checksums") {
		if out, err := pgtest.Command(t, "pg_checksums", "--check", "-D", srv.Dir).CombinedOutput(); err != nil {
			t.Errorf("pg_checksums: %v\n%s", err, out)
		}
	}
	return srv.Log(t)
}

// checkSQL fails if an index or a table is damaged.
const checkSQL = `
CREATE EXTENSION IF NOT EXISTS amcheck;
CREATE EXTENSION IF NOT EXISTS pg_visibility;
SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_index i ON i.indexrelid = c.oid
 WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence <> 't' AND i.indisvalid;
DO $$ DECLARE r record; n bigint; BEGIN
 FOR r IN SELECT oid::regclass AS rel, relkind, relpersistence FROM pg_class WHERE relkind IN ('r', 'm', 't') AND relpersistence <> 't' LOOP
  SELECT count(*) INTO n FROM verify_heapam(r.rel);
  IF n > 0 THEN RAISE EXCEPTION 'verify_heapam(%): % findings', r.rel, n; END IF;
  IF r.relpersistence = 'p' THEN
   SELECT count(*) INTO n FROM pg_check_visible(r.rel);
   IF n > 0 THEN RAISE EXCEPTION 'pg_check_visible(%): % findings', r.rel, n; END IF;
   SELECT count(*) INTO n FROM pg_check_frozen(r.rel);
   IF n > 0 THEN RAISE EXCEPTION 'pg_check_frozen(%): % findings', r.rel, n; END IF;
  END IF;
 END LOOP;
END $$;`
