package xlog_test

import (
	"crypto/sha256"
	"io"
	"testing"

	"zenith/internal/pgtest"
	"zenith/internal/xlog"
)

// A reader that follows a busy server, faster than that writes, sees the end of the WAL
// again and again, never damage, and in the end what a reader sees that comes afterwards.
func TestFollowServer(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	srv := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--wal-segsize=1"}, Config: []string{"wal_keep_size=1GB", "wal_buffers=64kB"}})
	srv.Start(t)
	start := srv.Control(t).CheckPoint
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Psql(t, `
CREATE TABLE t (i int, v text);
DO $$ BEGIN FOR i IN 1..3000 LOOP
	INSERT INTO t VALUES (i, repeat(md5(i::text), i % 300)); COMMIT;
END LOOP; END $$;
SELECT pg_switch_wal();
SELECT pg_logical_emit_message(true, '', repeat('x', 3000000));`)
		srv.Stop(t, pgtest.Fast)
	}()

	r := srv.WAL(t).Reader(start)
	sum := sha256.New()
	var rec xlog.Record
	records, ends := 0, 0
	for stopped := false; ; {
		err := r.Next(&rec)
		if err == nil {
			sum.Write(rec.Raw)
			records++
			continue
		}
		if err != io.EOF {
			t.Fatalf("after %d records and %d ends: %v", records, ends, err)
		}
		if ends++; stopped {
			break
		}
		select {
		case <-done:
			stopped = true
		default:
		}
	}
	again := srv.WAL(t).Reader(start)
	want, n := sha256.New(), 0
	for ; again.Next(&rec) == nil; n++ {
		want.Write(rec.Raw)
	}
	if n != records || string(want.Sum(nil)) != string(sum.Sum(nil)) {
		t.Errorf("followed %d records, %d are there", records, n)
	}
	if ends < 10 || records < 5000 {
		t.Errorf("%d records, the end was seen %d times", records, ends)
	}
	t.Logf("%d records, the end was seen %d times", records, ends)
}
