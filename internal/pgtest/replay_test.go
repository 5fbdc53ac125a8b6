package pgtest_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
)

// TestReplay compares a recovery that goes on from point to point with recoveries from the start to each point.
func TestReplay(t *testing.T) {
	base := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--wal-segsize=1"}, Config: []string{"max_prepared_transactions=5", "wal_keep_size=1GB"}})
	busy := base.Copy(t)
	busy.Start(t)
	busy.Psql(t, "CREATE TABLE t(a int PRIMARY KEY, b text); CREATE UNLOGGED TABLE u(a int)")
	busy.Psql(t, "INSERT INTO t SELECT g, repeat('x', 300) FROM generate_series(1, 3000) g; BEGIN; DELETE FROM t WHERE a < 9; PREPARE TRANSACTION 'p'")
	busy.Psql(t, "CHECKPOINT; DROP TABLE u; UPDATE t SET b = 'y' WHERE a > 9 AND a % 7 = 0; SELECT pg_switch_wal(); VACUUM t")
	busy.Psql(t, "COMMIT PREPARED 'p'; CREATE DATABASE d STRATEGY file_copy; TRUNCATE t; INSERT INTO t SELECT g FROM generate_series(1, 3000) g")
	busy.Stop(t, pgtest.Immediate)
	wal := busy.WAL(t)

	var ends []pg.LSN
	var rec xlog.Record
	rd := wal.Reader(base.Control(t).CheckPoint)
	for {
		err := rd.Next(&rec)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, rec.EndLSN)
	}
	replay := pgtest.NewReplay(t, base, wal)
	for i := 1; i <= 5; i++ {
		at := ends[len(ends)*i/5-1]
		once := pgtest.Recover(t, base, wal, at)
		if n := sameFiles(t, replay.To(t, at).Dir, once.Dir); n < 200 {
			t.Errorf("only %d files were compared at %v", n, at)
		}
		once.Remove(t)
	}
}

// sameFiles compares the files of two data directories that recovery makes, and gives their number.
func sameFiles(t *testing.T, got, want string) (n int) {
	t.Helper()
	err := filepath.WalkDir(want, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(want, path)
		if err != nil {
			return err
		}
		switch p := pgtest.Version().ParsePath(rel); p.Kind {
		case pg.PathRelation:
			if p.Fork.Fork == pg.FSMFork {
				return nil
			}
		case pg.PathSLRU, pg.PathRelMap, pg.PathTwoPhase:
		default:
			return nil
		}
		a, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(got, rel))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %d bytes, from the start %d: differ (%v)", rel, len(b), len(a), err)
		}
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
