package ingest_test

import (
	"slices"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
)

// TestOverwritten takes in WAL of a server that died while it wrote a record of many pages: at
// first what the crash left, then what the server wrote over it when it came back. The record
// is cut at a page's end, and at a segment's.
func TestOverwritten(t *testing.T) {
	needPostgres(t)
	base := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--wal-segsize=1"}, Config: []string{"wal_keep_size=1GB"}})
	busy := base.Copy(t)
	busy.Start(t)
	busy.Psql(t, "CREATE TABLE t AS SELECT generate_series(1, 5000) AS a; SELECT pg_logical_emit_message(true, 'p', repeat('x', 2500000))")
	busy.Stop(t, pgtest.Immediate)
	whole, in := imported(t, base, busy)
	if _, err := in.Catchup(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := records(t, whole)
	long := list[slices.IndexFunc(list, func(r record) bool { return r.rm == xlog.RmLogicalMsg })]

	for name, cut := range map[string]pg.LSN{
		"page": (long.start/xlog.PageSize + 7) * xlog.PageSize, "segment": (long.start>>20 + 2) << 20,
	} {
		t.Run(name, func(t *testing.T) {
			back := pgtest.Recover(t, base, busy.WAL(t), cut)
			back.Start(t)
			back.Psql(t, "INSERT INTO t SELECT generate_series(1, 3000); DELETE FROM t WHERE a < 50")
			back.Stop(t, pgtest.Immediate)

			tl, in := imported(t, base, busy)
			for at := cut; at < long.end; at += 1 << 20 {
				n := min(1<<20-at%(1<<20), 1<<20)
				overwrite(t, tl, at, make([]byte, n))
				at -= at % (1 << 20)
			}
			if head, err := in.Catchup(t.Context()); err != nil || head != long.prevEnd(list) {
				t.Fatalf("cut at %v: got head %v, %v, want %v", cut, head, err, long.prevEnd(list))
			}
			giveWAL(t, back.WAL(t), tl)
			if _, err := in.Catchup(t.Context()); err != nil {
				t.Fatal(err)
			}
			listRecords(t, tl, []string{"XLOG/OVERWRITE_CONTRECORD"})
			compareView(t, headView(t, tl), pgtest.Recover(t, base, back.WAL(t), 0).Dir, true)
		})
	}
}

// prevEnd is where the record before r ends.
func (r record) prevEnd(list []record) pg.LSN {
	i := slices.IndexFunc(list, func(o record) bool { return o.start == r.start })
	return list[i-1].end
}
