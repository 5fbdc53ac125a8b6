package repo_test

import (
	"math/rand/v2"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
	"zenith/repo/repotest"
	"zenith/repo/store/storetest"
)

const (
	benchBlocks  = 256
	benchRecords = 100 * benchBlocks
)

// benchLog makes a timeline in a repository that keeps hardly any pages in its cache, and WAL that
// changes blocks of one relation over and over.
func benchLog(b *testing.B) (tl *repo.Timeline, rf pg.RelFork, recs []*xlog.Record) {
	b.Helper()
	r, err := repo.Open(repo.Options{Dir: b.TempDir(), Redo: repotest.Redo, Store: storetest.NewMem(), Cache: pg.BlockSize})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { repotest.Close(b, r) })
	tl = repotest.Create(b, r, "main")
	rf = pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1663, DBOID: 5, RelNumber: 16384}}
	log, rnd := repotest.NewLog(tl), rand.New(rand.NewPCG(1, 2))
	for range benchRecords {
		block := repotest.Block{Tag: rf.Tag(pg.BlockNumber(rnd.IntN(benchBlocks))), Data: make([]byte, 80)}
		recs = append(recs, log.Add(b, repotest.Rec{Rmgr: 10, XID: 700, Blocks: []repotest.Block{block}}))
	}
	return tl, rf, recs
}

// ingestAll puts recs on tl, in batches.
func ingestAll(b *testing.B, tl *repo.Timeline, rf pg.RelFork, recs []*xlog.Record) {
	b.Helper()
	for len(recs) > 0 {
		some := recs[:min(len(recs), 1000)]
		w, err := tl.Begin(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for _, rec := range some {
			tag := rec.Blocks[0].Tag
			w.Extend(rf, rec.EndLSN, tag.Block+1)
			w.Page(tag, rec)
		}
		last := some[len(some)-1]
		if err := w.Commit(last.EndLSN, last.StartLSN); err != nil {
			b.Fatal(err)
		}
		recs = recs[len(some):]
	}
}

// BenchmarkIngest is what a record costs from Begin to the store.
func BenchmarkIngest(b *testing.B) {
	for range b.N {
		b.StopTimer()
		tl, rf, recs := benchLog(b)
		b.StartTimer()
		ingestAll(b, tl, rf, recs)
		if err := tl.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRecords, "ns/record")
}

// BenchmarkReadPage is what it costs to rebuild a page of some fifty records: from the open window,
// from the store, and from packed WAL.
func BenchmarkReadPage(b *testing.B) {
	tl, rf, recs := benchLog(b)
	ingestAll(b, tl, rf, recs)
	read := func(b *testing.B) {
		snap, err := tl.At(b.Context(), tl.LastLSN())
		if err != nil {
			b.Fatal(err)
		}
		page, rnd := make(pg.Page, pg.BlockSize), rand.New(rand.NewPCG(3, 4))
		b.ReportAllocs()
		for b.Loop() {
			if err := snap.ReadPage(b.Context(), rf.Tag(pg.BlockNumber(rnd.IntN(benchBlocks))), page); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("window", read)
	if err := tl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Run("store", read)
	if err := tl.PackUpTo(tl.LastLSN()); err != nil {
		b.Fatal(err)
	}
	b.Run("packed", read)
}
