package pg_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
)

// cluster makes a stopped server with a bit of everything in it.
func cluster(t *testing.T, in pgtest.Installation) *pgtest.Server {
	t.Helper()
	srv := pgtest.Init(t, pgtest.Options{
		Installation: in,
		InitArgs:     []string{"--data-checksums", "--wal-segsize=1"},
		Config:       []string{"track_commit_timestamp=on", "max_prepared_transactions=3", "allow_in_place_tablespaces=on", "wal_level=logical", "max_wal_senders=7"},
	})
	srv.Start(t)
	srv.Psql(t, `
CREATE TABLE t AS SELECT g AS id, repeat('x', 100) AS v FROM generate_series(1, 3000) g;
CREATE INDEX ON t (id);
CREATE UNLOGGED TABLE u (id int PRIMARY KEY);
VACUUM t;
CREATE TABLESPACE ts LOCATION '';
CREATE TABLE elsewhere (id int) TABLESPACE ts;
INSERT INTO elsewhere VALUES (1);
BEGIN; INSERT INTO t VALUES (0); PREPARE TRANSACTION 'x';
SELECT pg_replication_origin_create('a'), pg_replication_origin_create('b');
SELECT pg_replication_origin_advance('a', '1/23456789');
SELECT pg_replication_origin_advance('b', '0/ABCDEF');
CHECKPOINT;`)
	srv.Stop(t, pgtest.Fast)
	return srv
}

func TestOnRealDataDirectory(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	pgtest.Majors(t, func(t *testing.T, v *pg.Version, in pgtest.Installation) {
		srv := cluster(t, in)
		if c := srv.Control(t); c.Version != v {
			t.Fatalf("the control file is of %v, want %v", c.Version, v)
		}
		t.Run("control file", func(t *testing.T) { testControlFile(t, in, srv) })
		t.Run("paths and checksums", func(t *testing.T) { testFiles(t, v, srv) })
		t.Run("replication origins", func(t *testing.T) { testReplOrigins(t, srv) })
	})
}

// controlData runs pg_controldata. Some installations have none; that of the default major version reads the files of
// those majors, too.
func controlData(t *testing.T, in pgtest.Installation, dir string) string {
	t.Helper()
	cmd := in.Command(t, "pg_controldata", dir)
	if _, err := os.Stat(filepath.Join(in.BinDir(), "pg_controldata")); err != nil {
		cmd = pgtest.Command(t, "pg_controldata", dir)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func readFile(t *testing.T, srv *pgtest.Server, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(srv.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testControlFile compares what we read with pg_controldata, and what we write with the file.
func testControlFile(t *testing.T, in pgtest.Installation, srv *pgtest.Server) {
	file := readFile(t, srv, "global/pg_control")
	c, err := pg.ParseControlFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Encode(); !bytes.Equal(got, file) {
		t.Errorf("encoded again, the file is another")
	}
	said := map[string]string{}
	for _, line := range strings.Split(controlData(t, in, srv.Dir), "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok {
			said[k] = strings.TrimSpace(v)
		}
	}
	cp, s := &c.CheckPointCopy, &c.Settings
	for name, got := range map[string]any{
		"Database system identifier":            c.SystemID,
		"Database cluster state":                c.State,
		"Latest checkpoint location":            c.CheckPoint,
		"Latest checkpoint's REDO location":     cp.Redo,
		"Latest checkpoint's TimeLineID":        cp.ThisTLI,
		"Latest checkpoint's PrevTimeLineID":    cp.PrevTLI,
		"Latest checkpoint's full_page_writes":  map[bool]string{true: "on", false: "off"}[cp.FullPageWrites],
		"Latest checkpoint's NextXID":           fmt.Sprintf("%d:%d", cp.NextXID.Epoch(), cp.NextXID.XID()),
		"Latest checkpoint's NextOID":           cp.NextOID,
		"Latest checkpoint's NextMultiXactId":   cp.NextMulti,
		"Latest checkpoint's NextMultiOffset":   cp.NextMultiOffset,
		"Latest checkpoint's oldestXID":         cp.OldestXID,
		"Latest checkpoint's oldestXID's DB":    cp.OldestXIDDB,
		"Latest checkpoint's oldestMultiXid":    cp.OldestMulti,
		"Latest checkpoint's oldestMulti's DB":  cp.OldestMultiDB,
		"Latest checkpoint's oldestCommitTsXid": cp.OldestCommitTsXID,
		"Latest checkpoint's newestCommitTsXid": cp.NewestCommitTsXID,
		"Latest checkpoint's oldestActiveXID":   cp.OldestActiveXID,
		"Fake LSN counter for unlogged rels":    c.UnloggedLSN,
		"Minimum recovery ending location":      c.MinRecoveryPoint,
		"Min recovery ending loc's timeline":    c.MinRecoveryTLI,
		"Backup start location":                 c.BackupStartPoint,
		"Backup end location":                   c.BackupEndPoint,
		"wal_level setting":                     []string{"minimal", "replica", "logical"}[s.WALLevel],
		"max_connections setting":               s.MaxConnections,
		"max_worker_processes setting":          s.MaxWorkerProcesses,
		"max_wal_senders setting":               s.MaxWALSenders,
		"max_prepared_xacts setting":            s.MaxPreparedXacts,
		"max_locks_per_xact setting":            s.MaxLocksPerXact,
		"track_commit_timestamp setting":        map[bool]string{true: "on", false: "off"}[s.TrackCommitTimestamp],
		"Bytes per WAL segment":                 c.SegSize,
		"Data page checksum version":            c.ChecksumVersion,
		"Mock authentication nonce":             fmt.Sprintf("%x", c.AuthenticationSalt),
	} {
		want := said[name]
		if _, ok := got.(pg.LSN); ok { // from 19 on, the lower half has all its digits
			lsn, err := pg.ParseLSN(want)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			want = lsn.String()
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
}

// testFiles asks that each file's path means what it is, and back, and that each page
// has the checksum that we would give it.
func testFiles(t *testing.T, v *pg.Version, srv *pgtest.Server) {
	kinds := map[pg.PathKind]int{}
	pages := 0
	err := filepath.WalkDir(srv.Dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path := strings.TrimPrefix(strings.TrimPrefix(name, srv.Dir), "/")
		p := v.ParsePath(path)
		kinds[p.Kind]++
		if back, ok := pathOf(v, p); ok && back != path {
			t.Errorf("%s is taken for %s", path, back)
		}
		if d.IsDir() != (p.Kind == pg.PathDatabase) && p.Kind != pg.PathOther {
			t.Errorf("%s: kind %d", path, p.Kind)
		}
		if p.Kind == pg.PathRelation {
			pages += testPages(t, readFile(t, srv, path), p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for kind := pg.PathRelation; kind <= pg.PathWALSegment; kind++ {
		if kinds[kind] == 0 && kind != pg.PathTempRelation {
			t.Errorf("no file of kind %d", kind)
		}
	}
	if pages < 1000 {
		t.Errorf("only %d pages", pages)
	}
}

// pathOf is the reverse of ParsePath.
func pathOf(v *pg.Version, p pg.Path) (string, bool) {
	spc, db := p.Fork.SpcOID, p.Fork.DBOID
	switch p.Kind {
	case pg.PathRelation, pg.PathSLRU:
		return v.RelPath(p.Fork, p.Segment), true
	case pg.PathDatabase:
		return v.DatabasePath(spc, db), true
	case pg.PathRelMap:
		return v.RelMapPath(spc, db), true
	case pg.PathDBVersion:
		return v.DatabasePath(spc, db) + "/PG_VERSION", true
	}
	return "", false
}

func testPages(t *testing.T, b []byte, p pg.Path) int {
	if len(b)%pg.BlockSize != 0 {
		t.Errorf("%v has %d bytes", p.Fork, len(b))
	}
	n := 0
	for blk := 0; len(b) >= pg.BlockSize; blk, b = blk+1, b[pg.BlockSize:] {
		page := pg.Page(b[:pg.BlockSize])
		if page.IsNew() {
			continue
		}
		if want := pg.Checksum(page, pg.BlockNumber(blk)); page.Checksum() != want {
			t.Errorf("%v: checksum %04x, we say %04x", p.Fork.Tag(pg.BlockNumber(blk)), page.Checksum(), want)
		}
		n++
	}
	return n
}

func testReplOrigins(t *testing.T, srv *pgtest.Server) {
	file := readFile(t, srv, pg.ReplOriginPath)
	origins, err := pg.ParseReplOrigins(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := []pg.ReplOrigin{{Node: 1, RemoteLSN: 0x123456789}, {Node: 2, RemoteLSN: 0xABCDEF}}; fmt.Sprint(origins) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", origins, want)
	}
	if got := pg.EncodeReplOrigins(origins); !bytes.Equal(got, file) {
		t.Errorf("encoded again: %x, want %x", got, file)
	}
}
