package datadir_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/datadir"
	"zenith/repo/ingest"
	"zenith/walredo"
)

// importCluster makes a timeline of the stored cluster.
func importCluster(t *testing.T) *repo.Timeline {
	t.Helper()
	_, tl := importRepository(t)
	return tl
}

// importRepository is importCluster, and gives the repository, too.
func importRepository(t *testing.T) (*repo.Repository, *repo.Timeline) {
	t.Helper()
	r, err := repo.Open(repo.Options{Dir: t.TempDir(), Redo: walredo.Cluster{LogHints: true}.Redo})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	if err := pgtest.UnpackCluster(dir); err != nil {
		t.Fatal(err)
	}
	tl, err := ingest.Import(t.Context(), r, dir, ingest.ImportOptions{Name: "main"})
	if err != nil {
		t.Fatal(err)
	}
	return r, tl
}

// TestPrepareHeadClears: of a record that was never completed nothing is left.
func TestPrepareHeadClears(t *testing.T) {
	tl := importCluster(t)
	head := tl.LastLSN()
	path, size := tl.SegmentPath(head), int64(tl.Info().SegSize)
	off := int64(head) % size
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{1, 100, 3 * pg.BlockSize, size - off} {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt(bytes.Repeat([]byte("x"), int(n)), off)
		if err = errors.Join(err, f.Truncate(off+n), f.Close()); err != nil {
			t.Fatal(err)
		}
		if end, err := datadir.PrepareHead(t.Context(), tl); err != nil || end != head {
			t.Fatalf("it ends at %v, %v; want %v", end, err, head)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(got)) != size || !bytes.Equal(got[:off], before[:off]) || len(bytes.TrimRight(got[off:], "\x00")) > 0 {
			t.Errorf("%d bytes behind the head: the segment has %d bytes, and not only zeros there", n, len(got))
		}
	}
}

// TestPrepareHeadBesideReaders: whoever reads at the head meanwhile, as ingest does to see if there is
// more, finds nothing there, and no error.
func TestPrepareHeadBesideReaders(t *testing.T) {
	tl := importCluster(t)
	if _, err := datadir.PrepareHead(t.Context(), tl); err != nil {
		t.Fatal(err)
	}
	head := tl.LastLSN()
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for p := make([]byte, 64<<10); ctx.Err() == nil; {
				n, err := tl.WAL().ReadWAL(p, head)
				if err != nil || len(bytes.TrimRight(p[:n], "\x00")) > 0 {
					t.Errorf("%d bytes at the head, %v", n, err)
					return
				}
			}
		})
	}
	for range 30 {
		if _, err := datadir.PrepareHead(t.Context(), tl); err != nil {
			t.Error(err)
		}
	}
	stop()
	readers.Wait()
}

// abortedAtEnd writes WAL behind the head of a timeline up to the end of the segment: images of a page, of which the last
// one runs on into the next segment, and does not. It gives that record's beginning, and what the segment has then.
func abortedAtEnd(t *testing.T, tl *repo.Timeline) (aborted pg.LSN, segment []byte) {
	t.Helper()
	size := pg.LSN(tl.Info().SegSize)
	end, prev := tl.Head()
	path, seg := tl.SegmentPath(end), end&^(size-1)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tag := pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: pg.DefaultTablespace, DBOID: 1, RelNumber: 1259}}.Tag(0)
	for end < seg+size {
		var patches []xlog.Patch
		aborted = end
		patches, prev, end = xlog.PageImage(end, prev, tag, make(pg.Page, pg.BlockSize), tl.WALConfig())
		for _, p := range patches {
			if p.At >= seg+size {
				continue // that is what was lost
			}
			if _, err := f.WriteAt(p.Bytes, int64(p.At-seg)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if segment, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return aborted, segment
}

// TestPrepareHeadKeepsFullSegment: a segment that a record fills which was never completed may have been archived. It
// stays as it is, whatever is left in the next one, and the timeline goes on behind it.
func TestPrepareHeadKeepsFullSegment(t *testing.T) {
	for name, next := range map[string][]byte{
		"no next segment": nil, "one of zeros": make([]byte, pgtest.ClusterSegSize), "one with garbage": bytes.Repeat([]byte("x"), pgtest.ClusterSegSize),
	} {
		t.Run(name, func(t *testing.T) {
			tl := importCluster(t)
			if err := tl.PrepareWAL(); err != nil {
				t.Fatal(err)
			}
			aborted, segment := abortedAtEnd(t, tl)
			if next != nil {
				if err := os.WriteFile(tl.SegmentPath(aborted+pg.LSN(len(segment))), next, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			in, err := ingest.New(tl, ingest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if head, err := in.Catchup(t.Context()); err != nil || head != aborted {
				t.Fatalf("head %v, %v; want %v", head, err, aborted)
			}
			for range 2 { // the second finds that there is nothing to do
				end, err := datadir.PrepareHead(t.Context(), tl)
				if err != nil {
					t.Fatal(err)
				}
				if now, err := os.ReadFile(tl.SegmentPath(aborted)); err != nil || !bytes.Equal(now, segment) {
					t.Fatalf("the segment was changed: %v", err)
				}
				if head, err := in.Catchup(t.Context()); err != nil || head != end || head <= aborted {
					t.Fatalf("head %v, %v; want %v", head, err, end)
				}
			}
			var rec xlog.Record
			r := xlog.NewReader(tl.WAL(), tl.WALConfig(), aborted)
			if err := r.Next(&rec); err != nil || rec.Op() != xlog.XLOGOverwriteContRecord {
				t.Errorf("behind the segment: %+v, %v", rec, err)
			}
			if err := r.Next(&rec); err != nil {
				t.Fatal(err)
			}
			if shutdown, ok := rec.IsCheckpoint(); !ok || !shutdown || rec.EndLSN != tl.LastLSN() {
				t.Errorf("then: %+v", rec)
			}
		})
	}
}

// branchFarIn gives a branch of a timeline, whose head is n pages into a segment, or more.
func branchFarIn(t *testing.T, r *repo.Repository, tl *repo.Timeline, n int) *repo.Timeline {
	t.Helper()
	size := pg.LSN(tl.Info().SegSize)
	tag := pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: pg.DefaultTablespace, DBOID: 1, RelNumber: 1259}}.Tag(0)
	for tl.LastLSN()%size < pg.LSN(n*xlog.PageSize) {
		page := pg.Page(bytes.Repeat([]byte("x"), pg.BlockSize))
		if _, err := datadir.AddImages(t.Context(), tl, []datadir.Image{{Tag: tag, Page: page}}); err != nil {
			t.Fatal(err)
		}
		catchup(t, tl)
	}
	branch, err := r.Branch(t.Context(), repo.NewBranch{Name: "branch"}, tl, tl.LastLSN())
	if err != nil {
		t.Fatal(err)
	}
	return branch
}

func catchup(t *testing.T, tl *repo.Timeline) {
	t.Helper()
	in, err := ingest.New(tl, ingest.Options{})
	if err == nil {
		_, err = in.Catchup(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestPrepareHeadOfBranch: of the segment in which a branch begins, its own file has the first page and what a server
// reads from the checkpoint on, and between them a hole. All of it can be read as WAL of the branch.
func TestPrepareHeadOfBranch(t *testing.T) {
	r, main := importRepository(t)
	branch := branchFarIn(t, r, main, 20)
	size, head := pg.LSN(branch.Info().SegSize), branch.LastLSN()
	start := head &^ (size - 1)
	end, err := datadir.PrepareHead(t.Context(), branch)
	if err != nil {
		t.Fatal(err)
	}
	catchup(t, branch)
	if now := branch.LastLSN(); now != end {
		t.Errorf("head %v after it was ingested, want %v", now, end)
	}
	got, err := os.ReadFile(branch.SegmentPath(head))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, head-start)
	if err := xlog.ReadFull(main.WAL(), want, start); err != nil {
		t.Fatal(err)
	}
	snap, err := branch.AtHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from := int(snap.State().CheckPoint.Redo-start) &^ (xlog.PageSize - 1)
	if from < 10*xlog.PageSize {
		t.Fatalf("the checkpoint begins at byte %d: the test shows nothing", from)
	}
	if !bytes.Equal(got[:xlog.PageSize], want[:xlog.PageSize]) || !bytes.Equal(got[from:len(want)], want[from:]) {
		t.Error("the file does not have the WAL that a server reads")
	}
	if len(bytes.Trim(got[xlog.PageSize:from], "\x00")) > 0 {
		t.Error("the file has WAL that no server reads")
	}
	read := make([]byte, len(want))
	if err := xlog.ReadFull(branch.WAL(), read, start); err != nil || !bytes.Equal(read, want) {
		t.Errorf("the branch's WAL below its start is not its ancestor's, %v", err)
	}
}

// TestPrepareHeadOfRestoredBranch: the segment in which one of PostgreSQL's timelines begins has all that is before that: a
// recovery from an archive reads it there, as the segment of the newest timeline.
func TestPrepareHeadOfRestoredBranch(t *testing.T) {
	r, main := importRepository(t)
	branch := branchFarIn(t, r, main, 20)
	head := branch.LastLSN()
	start := head &^ (pg.LSN(branch.Info().SegSize) - 1)
	if err := branch.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	if err := branch.SwitchTLI(t.Context(), branch.History().TLI()+1, head); err != nil {
		t.Fatal(err)
	}
	if _, err := datadir.PrepareHead(t.Context(), branch); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(branch.SegmentPath(head))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, head-start)
	if err := xlog.ReadFull(main.WAL(), want, start); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[:len(want)], want) {
		t.Error("the file does not have the WAL before the switch")
	}
}
