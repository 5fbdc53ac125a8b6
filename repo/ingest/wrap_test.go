package ingest_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/walredo"
)

// TestWrap takes a cluster over the ends of all its counters: transaction ids into the next
// epoch, multixact ids, their members, and OIDs, and has the SLRUs truncated behind them.
// States on the way equal what stock recovery makes.
func TestWrap(t *testing.T) {
	needPostgres(t)
	if pgtest.Version() == pg.V14 {
		t.Skip("14 finds its multixacts far in the past, and vacuums by itself, on what is to be compared, too")
	}
	base := pgtest.Init(t, pgtest.Options{
		InitArgs: []string{"--wal-segsize=4", "--data-checksums"},
		Config:   []string{"max_prepared_transactions=5", "wal_keep_size=10GB", "track_commit_timestamp=on"},
	})
	base.Start(t)
	base.Psql(t, `UPDATE pg_database SET datallowconn = true;
		CREATE TABLE acc(id int PRIMARY KEY, bal int); INSERT INTO acc SELECT g, 0 FROM generate_series(1, 200) g`)
	base.Stop(t, pgtest.Fast)
	// No step may be longer than half of the range, or the past is the future.
	for _, c := range []counters{
		{xid: 0x70000000, multi: 0x70000000, oldestMulti: 1}, {xid: 0xE0000000, multi: 0xE0000000, oldestMulti: 0x70000000},
	} {
		c.set(t, base)
		base.Start(t)
		base.Run(t, "vacuumdb", "--all", "--freeze", "-q")
		base.Stop(t, pgtest.Fast)
	}
	counters{xid: 0xFFFFFC00, multi: 0xFFFFFFC0, oldestMulti: 0xFFFFFFC0, offset: 0xFFFFFF80, oid: 4294967000}.set(t, base)
	// Where the next multixact's members begin is written by a start, if nothing else did.
	base.Start(t)
	base.Stop(t, pgtest.Fast)

	busy := base.Copy(t)
	busy.Start(t)
	cross(t, busy)
	busy.Stop(t, pgtest.Immediate)
	r, tl := follow(t, base, busy, walredo.Cluster{LogHints: true})
	must := []string{
		"CLOG/ZEROPAGE", "CLOG/TRUNCATE", "CommitTs/ZEROPAGE", "CommitTs/TRUNCATE", "MultiXact/ZERO_OFF_PAGE",
		"MultiXact/CREATE_ID", "MultiXact/TRUNCATE_ID", "XLOG/NEXTOID",
	}
	v := pgtest.Version()
	if v.MultiOffsetSize == 4 { // others do not come to a new page here
		must = append(must, "MultiXact/ZERO_MEM_PAGE")
	}
	ends, _ := listRecords(t, tl, must)
	first := base.Control(t).CheckPointCopy
	head := headView(t, tl).Snapshot().State().CheckPoint
	offsetWrong := head.NextMultiOffset > 1<<31
	if v.MultiOffsetSize == 8 { // such offsets go on
		offsetWrong = head.NextMultiOffset < 1<<32
	}
	if first.NextXID>>32 != 0 || head.NextXID>>32 != 1 || head.NextMulti > 1<<31 || offsetWrong || head.NextOID > 1<<31 {
		t.Errorf("from %+v to %+v: something did not wrap around", first, head)
	}

	rnd := rand.New(rand.NewPCG(*oracleSeed, 2))
	points := []pg.LSN{ends[len(ends)-1]}
	for range 2 * *oraclePoints {
		points = append(points, ends[rnd.IntN(len(ends))])
	}
	compareReplays(t, r, tl, pgtest.NewReplay(t, base, busy.WAL(t)), points)
	startCopy(t, base, headView(t, tl))
}

// cross does what takes counters over their ends, in steps between which the old is forgotten.
func cross(t *testing.T, srv *pgtest.Server) {
	t.Helper()
	lock := testFile(t, "lock.pgbench")
	srv.Psql(t, `CREATE TABLE sub(a int); BEGIN; INSERT INTO sub VALUES (0); PREPARE TRANSACTION 'across';
		DO $$ BEGIN FOR i IN 1..700 LOOP BEGIN INSERT INTO sub VALUES (i); EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$;
		DO $$ BEGIN FOR i IN 1..400 LOOP EXECUTE format('CREATE TABLE o%s(a int)', i); END LOOP; END $$`)
	srv.Run(t, "pgbench", "-n", "-c", "3", "-t", "300", "-f", lock)
	srv.Psql(t, "COMMIT PREPARED 'across'; CHECKPOINT")
	srv.Run(t, "vacuumdb", "--all", "--freeze", "-q")
	srv.Run(t, "pgbench", "-n", "-c", "3", "-t", "300", "-f", lock)
	srv.Psql(t, "CREATE DATABASE later; DROP TABLE sub; CREATE TABLE kept AS SELECT * FROM acc")
}

// counters are the next of each, and the oldest multixact. An offset or an oid of 0 stays what it was.
type counters struct{ xid, multi, oldestMulti, offset, oid uint32 }

// set changes a stopped cluster's counters, and makes the SLRUs' files that they are in.
func (c counters) set(t *testing.T, srv *pgtest.Server) {
	t.Helper()
	for slru, page := range map[pg.SLRU]uint32{
		pg.SLRUXact: c.xid / pg.XactsPerPage, pg.SLRUMultiOffsets: c.multi / pgtest.Version().MultiOffsetsPerPage(),
		pg.SLRUMultiMembers: c.offset / pg.MembersPerPage,
	} {
		path := filepath.Join(srv.Dir, pgtest.Version().RelPath(slru.Page(page).RelFork, 0))
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		uid, gid := pgtest.Owner(t)
		if err := errors.Join(f.Truncate(pg.SLRUPagesPerSegment*pg.BlockSize), f.Close(), os.Chown(path, uid, gid)); err != nil {
			t.Fatal(err)
		}
	}
	srv.SetCounters(t, func(cp *pg.CheckPoint) {
		cp.NextXID = pg.FullXID(cp.NextXID.Epoch(), pg.TransactionID(c.xid))
		cp.NextMulti, cp.OldestMulti, cp.OldestMultiDB = pg.MultiXactID(c.multi), pg.MultiXactID(c.oldestMulti), 0
		if c.offset != 0 {
			cp.NextMultiOffset = pg.MultiXactOffset(c.offset)
		}
		if c.oid != 0 {
			cp.NextOID = pg.OID(c.oid)
		}
	})
}
