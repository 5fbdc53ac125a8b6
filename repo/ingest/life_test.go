package ingest_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/datadir"
	"zenith/repo/ingest"
)

// TestLife lets one server after the other go on with the head of a timeline, as writable
// mounts do, and of a branch: stopped, crashed, at a segment's end. Each time the state is
// compared with what stock recovery makes of the WAL.
func TestLife(t *testing.T) {
	needPostgres(t)
	base := pgtest.Init(t, pgtest.Options{InitArgs: []string{"--data-checksums", "--wal-segsize=1"}, Config: []string{"wal_keep_size=1GB"}})
	r := openRepo(t)
	tl, err := ingest.Import(t.Context(), r, base.Dir, ingest.ImportOptions{Name: "main"})
	if err != nil {
		t.Fatal(err)
	}
	const (
		create = "CREATE TABLE t(a int PRIMARY KEY, b text);"
		insert = "INSERT INTO t SELECT g, repeat('x', 200) FROM generate_series((SELECT count(*) FROM t), (SELECT count(*) FROM t) + 2999) g;"
	)
	live(t, base, tl, create+insert, pgtest.Immediate, 3000)
	mid := tl.LastLSN()
	live(t, base, tl, insert, pgtest.Fast, 6000)
	live(t, base, tl, insert+"SELECT pg_switch_wal()", pgtest.Immediate, 9000)
	if size := pg.LSN(tl.Info().SegSize); tl.LastLSN()%size != 0 {
		t.Errorf("the head, %v, is not at a segment's end", tl.LastLSN())
	}
	branch, err := r.Branch(t.Context(), repo.NewBranch{Name: "branch"}, tl, mid)
	if err != nil {
		t.Fatal(err)
	}
	live(t, base, branch, insert, pgtest.Immediate, 6000)
	live(t, base, branch, insert, pgtest.Fast, 9000)
	live(t, base, tl, insert, pgtest.Immediate, 12000)
}

// live runs a server on the head of tl, stops it, takes in what it did, and looks at it.
func live(t *testing.T, base *pgtest.Server, tl *repo.Timeline, sql string, mode pgtest.ShutdownMode, rows int) {
	t.Helper()
	in, err := ingest.New(tl, ingest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	prepareHead(t, tl, in)
	srv := base.Copy(t)
	exportTo(t, headView(t, tl), srv)
	cold := srv.Copy(t)
	srv.Start(t)
	srv.Psql(t, sql)
	if got := srv.Psql(t, "SELECT count(*) FROM t"); got != fmt.Sprint(rows) {
		t.Errorf("%s: got %s rows, want %d", tl.Name(), got, rows)
	}
	srv.Stop(t, mode)
	giveWAL(t, srv.WAL(t), tl)
	if _, err := in.Catchup(t.Context()); err != nil {
		t.Fatal(err)
	}
	compareView(t, headView(t, tl), pgtest.Recover(t, cold, srv.WAL(t), 0).Dir, true)
}

// prepareHead does what a mount does first, and sees that doing it again changes nothing.
func prepareHead(t *testing.T, tl *repo.Timeline, in *ingest.Ingester) {
	t.Helper()
	for range 2 {
		end, err := datadir.PrepareHead(t.Context(), tl)
		if err != nil {
			t.Fatal(err)
		}
		head, err := in.Catchup(t.Context())
		if err != nil || head != end {
			t.Fatalf("head behind the checkpoint: got %v, %v, want %v", head, err, end)
		}
	}
	last := tl.SegmentPath(tl.LastLSN() - 1)
	info, err := os.Stat(last)
	if err != nil || info.Size() != int64(tl.Info().SegSize) {
		t.Errorf("%s: %v, %v", last, info, err)
	}
}

func headView(t *testing.T, tl *repo.Timeline) *datadir.View {
	t.Helper()
	snap, err := tl.AtHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, err := datadir.New(t.Context(), snap)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// exportTo puts a copy of the view in place of srv's directory. In pg_wal are the bytes
// that the timeline has.
func exportTo(t *testing.T, v *datadir.View, srv *pgtest.Server) {
	t.Helper()
	srv.Unpack(t, func(w *tar.Writer) error { return datadir.ExportTar(t.Context(), v, w, datadir.ExportOptions{}) })
	tl := v.Snapshot().Timeline()
	entries, err := v.ReadDir(t.Context(), "pg_wal")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		_, start, ok := xlog.ParseSegmentName(e.Name, tl.Info().SegSize)
		if !ok {
			continue
		}
		n++
		shown, err := readFile(t.Context(), e.File)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := os.ReadFile(tl.SegmentPath(start))
		if err != nil {
			t.Fatal(err)
		}
		fillHole(shown, kept, start, tl.StartLSN())
		if off := differs(shown, kept); len(shown) != len(kept) || off >= 0 {
			t.Errorf("segment %s: the view and the timeline differ at byte %d", e.Name, off)
		}
	}
	if n == 0 {
		t.Error("pg_wal has no segment")
	}
}

// fillHole puts what a view shows of a segment in place of the hole that a branch's own file may have below the
// branch point, where the ancestor's is read. A hole is whole pages of zeros behind the first page.
func fillHole(shown, kept []byte, start, branchPoint pg.LSN) {
	for at := pg.BlockSize; at+pg.BlockSize <= min(len(shown), len(kept)) && start+pg.LSN(at+pg.BlockSize) <= branchPoint; at += pg.BlockSize {
		if page := kept[at : at+pg.BlockSize]; len(bytes.Trim(page, "\x00")) == 0 {
			copy(page, shown[at:])
		}
	}
}
