package ingest_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/repo"
	"zenith/repo/history"
	"zenith/repo/ingest"
	"zenith/repo/store"
	"zenith/walredo"
)

// xactions runs transactions of which it is known what they do.
type xactions struct {
	t    *testing.T
	srv  *pgtest.Server
	want map[pg.TransactionID]string // for each one that ended: see summary
}

// file gives what a table's storage is called in a summary.
func (x *xactions) file(table string) string {
	return x.srv.Psql(x.t, fmt.Sprintf("SELECT pg_relation_filenode('%s')", table))
}

// do runs a transaction, which is to do that to one table, and gives its id. The id is asked for at the end, so that
// it is assigned as late as it would be without the question.
func (x *xactions) do(table, what, sql string) (xid pg.TransactionID) {
	x.t.Helper()
	out := strings.Split(x.srv.Psql(x.t, "BEGIN;"+sql+"; SELECT 'xid', pg_current_xact_id()::text; COMMIT;"), "\n")
	i := slices.IndexFunc(out, func(line string) bool { return strings.HasPrefix(line, "xid|") })
	if i < 0 {
		x.t.Fatalf("%s: no xid in %q", sql, out)
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(out[i], "xid|"), 10, 32)
	if err != nil {
		x.t.Fatal(err)
	}
	xid = pg.TransactionID(n)
	if table != "" {
		what = x.file(table) + what
	}
	x.want[xid] = what
	return xid
}

// summary is what a transaction did to tables of users: those of catalogs, toast and indexes are left out, in which
// nothing is inserted and nothing updated.
func summary(c *history.Commit) string {
	var parts []string
	for _, ch := range c.Changes {
		if ch.Rel.RelNumber < pg.FirstNormalObjectID {
			continue
		}
		s := fmt.Sprint(ch.Rel.RelNumber)
		for _, n := range []struct {
			sign string
			n    uint64
		}{{" +", ch.Inserted}, {" ~", ch.Updated}, {" -", ch.Deleted}} {
			if n.n > 0 {
				s += n.sign + fmt.Sprint(n.n)
			}
		}
		for _, w := range []struct {
			what history.What
			name string
		}{{history.Created, " created"}, {history.Dropped, " dropped"}, {history.Emptied, " emptied"}, {history.Advanced, " advanced"}} {
			if ch.What&w.what != 0 {
				s += w.name
			}
		}
		if s != fmt.Sprint(ch.Rel.RelNumber) {
			parts = append(parts, s)
		}
	}
	slices.Sort(parts)
	if c.Aborted {
		parts = append(parts, "aborted")
	}
	if c.Prepared {
		parts = append(parts, "prepared")
	}
	if c.Partial {
		parts = append(parts, "partial")
	}
	return strings.Join(parts, ", ")
}

// first is what the server does before the page server is started anew, a prepared transaction among it.
func (x *xactions) first() {
	x.do("", "", "SELECT 1")
	x.srv.Psql(x.t, "CREATE TABLE t(a int, b text); CREATE TABLE p(a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2); CREATE SEQUENCE s")
	x.do("t", " +100", "INSERT INTO t SELECT g, 'x' FROM generate_series(1, 100) g")
	x.do("t", " +3", "COPY t FROM stdin;\n1\ta\n2\tb\n3\tc\n\\.\n")
	x.do("t", " ~7", "UPDATE t SET b = 'y' WHERE a BETWEEN 51 AND 57")
	x.do("t", " -5", "DELETE FROM t WHERE a BETWEEN 61 AND 65")
	x.do("t", " +8", `INSERT INTO t VALUES (1),(1),(1); SAVEPOINT s; INSERT INTO t VALUES (1),(1),(1),(1); ROLLBACK TO s;
		SAVEPOINT s; INSERT INTO t VALUES (1),(1),(1),(1),(1); RELEASE s`)
	x.srv.Psql(x.t, "BEGIN; INSERT INTO t SELECT g FROM generate_series(1, 6) g; PREPARE TRANSACTION 'two'")
	x.do("s", " advanced", "SELECT nextval('s')")
	x.do("", x.file("p1")+" +1", "INSERT INTO p VALUES (1)")
	x.do("", x.file("p1")+" -1, "+x.file("p2")+" +1", "UPDATE p SET a = 2 WHERE a = 1")
}

// second is what it does afterwards.
func (x *xactions) second() {
	prepared, err := strconv.ParseUint(x.srv.Psql(x.t, "SELECT transaction FROM pg_prepared_xacts"), 10, 32)
	if err != nil {
		x.t.Fatal(err)
	}
	x.want[pg.TransactionID(prepared)] = x.file("t") + " +6, prepared"
	x.srv.Psql(x.t, "COMMIT PREPARED 'two'")
	x.srv.Psql(x.t, "CREATE TABLE u(a int PRIMARY KEY)")
	files := []string{x.file("u"), x.file("u_pkey")}
	xid := x.do("", "", "TRUNCATE u")
	for i, name := range []string{"u", "u_pkey"} {
		files[i] += " dropped"
		files = append(files, x.file(name)+" created")
	}
	slices.Sort(files)
	x.want[xid] = strings.Join(files, ", ")
	xid = x.do("", "", "CREATE TABLE empty()")
	x.want[xid] = x.file("empty") + " created"
	out := x.srv.Psql(x.t, "BEGIN; INSERT INTO t SELECT g FROM generate_series(1, 9) g; SELECT pg_current_xact_id(); ROLLBACK")
	aborted, err := strconv.ParseUint(out, 10, 32)
	if err != nil {
		x.t.Fatal(err)
	}
	x.want[pg.TransactionID(aborted)] = x.file("t") + " +9, aborted"
	x.do("u", " +2", "INSERT INTO u VALUES (1), (2) ON CONFLICT DO NOTHING; INSERT INTO u VALUES (2) ON CONFLICT DO NOTHING")
	dropped := x.file("u") + " dropped, " + x.file("u_pkey") + " dropped"
	x.do("", dropped, "DROP TABLE u")
}

// TestCommits: the index of commits has what each transaction did, at once, after a restart, where it was made in
// between, and where it has to be made from WAL, since the store is of an earlier build.
func TestCommits(t *testing.T) {
	needPostgres(t)
	base := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--wal-segsize=1"}, Config: []string{"max_prepared_transactions=5", "autovacuum=off", "wal_keep_size=1GB"}})
	busy := base.Copy(t)
	busy.Start(t)
	x := &xactions{t: t, srv: busy, want: map[pg.TransactionID]string{}}
	x.first()

	dir := t.TempDir()
	var r *repo.Repository
	var tl *repo.Timeline
	open := func() {
		var err error
		if r, err = repo.Open(repo.Options{Dir: dir, Redo: walredo.Cluster{LogHints: true}.Redo}); err != nil {
			t.Fatal(err)
		}
		if tl = nil; len(r.Timelines()) > 0 {
			tl = r.Timelines()[0]
		} else {
			tl, err = ingest.Import(t.Context(), r, base.Dir, ingest.ImportOptions{Name: "main"})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	catchup := func() {
		giveWAL(t, busy.WAL(t), tl)
		in, err := ingest.New(tl, ingest.Options{BatchBytes: 4096})
		if err == nil {
			_, err = in.Catchup(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	closeRepo := func() {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	open()
	catchup()
	closeRepo()
	x.second()
	open()
	catchup()
	x.check("at once", tl)
	whole := listCommits(t, tl, tl.StartLSN(), tl.LastLSN())
	for i, c := range whole {
		if some := listCommits(t, tl, c.LSN-1, c.LSN); len(some) != 1 || some[0].XID != c.XID {
			t.Errorf("of commit %d, %+v, alone the index has %+v", i, c, some)
		}
	}
	closeRepo()
	open()
	catchup() // as the page server does: what is behind the flushed LSN
	x.check("after a restart", tl)
	closeRepo()
	deleteIndex(t, filepath.Join(dir, repo.StoreDir))
	open()
	x.check("made from WAL", tl)
	closeRepo()
	open()
	x.check("made from WAL and read again", tl)
	closeRepo()
}

// check compares the index with what is known.
func (x *xactions) check(when string, tl *repo.Timeline) {
	x.t.Helper()
	got := map[pg.TransactionID]string{}
	last := tl.LastLSN() + 1
	for _, c := range listCommits(x.t, tl, 0, tl.LastLSN()) {
		if c.LSN >= last {
			x.t.Errorf("%s: %v comes behind %v", when, c.LSN, last)
		}
		last = c.LSN
		got[c.XID] = summary(&c)
	}
	for xid, want := range x.want {
		if s, ok := got[xid]; !ok || want != "" && s != want {
			x.t.Errorf("%s: transaction %d: got %q, %v, want %q", when, xid, s, ok, want)
		}
	}
}

func listCommits(t *testing.T, tl *repo.Timeline, above, upTo pg.LSN) (list []history.Commit) {
	t.Helper()
	for c, err := range tl.Commits(t.Context(), above, upTo) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, *c)
	}
	return list
}

// deleteIndex removes all kinds of keys of the index of commits from a store.
func deleteIndex(t *testing.T, dir string) {
	t.Helper()
	s, err := store.OpenBadger(dir, store.BadgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var ops []store.Op
	for _, kind := range []byte{0x07, 0x70, 0x71} {
		it := s.Iterator([]byte{kind})
		for it.Seek([]byte{kind}); it.Valid(); it.Next() {
			ops = append(ops, store.Op{Key: slices.Clone(it.Key())})
		}
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(ops) < 3 {
		t.Errorf("the store has %d keys of the index", len(ops))
	}
	if err := s.Update(ops); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
