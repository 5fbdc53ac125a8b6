package walredo

import (
	"flag"
	"path/filepath"
	"slices"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
)

var corpus = flag.String("corpus", "", "directory with base, a data directory, and wal, which a server on a copy of it wrote with wal_consistency_checking=all")

// TestCorpus redoes all WAL of a long run, PostgreSQL's own suites in `make regress`, on the
// pages of the data directory that it began with, and compares each block that a record
// changes with the image that the record brings. It tells which operations the run had none of:
// those are the fixtures' business (TestEveryOp).
func TestCorpus(t *testing.T) {
	if *corpus == "" {
		t.Skip("needs a corpus: make regress")
	}
	base := &pgtest.Server{Dir: filepath.Join(*corpus, "base")}
	c := base.Control(t)
	w := newWorld(c.Version, base.Dir, Cluster{LogHints: c.ChecksumVersion != 0 || c.Settings.WALLogHints})
	w.commitTs = c.Settings.TrackCommitTimestamp
	wal := pgtest.WALDir{Version: c.Version, Dir: filepath.Join(*corpus, "wal"), TLI: c.CheckPointCopy.ThisTLI, SegSize: int(c.SegSize)}
	rd := wal.Reader(c.CheckPoint)
	records, blocks, images, differ := 0, 0, 0, 0
	eachRecord(t, rd, func(rec *xlog.Record) bool {
		records++
		w.seen[opOf(rec)] = true
		blocks += len(rec.Blocks)
		n, err := 0, w.replay(rec)
		if err == nil {
			n, err = w.compareImages(rec, 0)
		}
		if images += n; err != nil {
			differ++
			t.Errorf("%s\n\t%v", describe(rec), err)
		}
		return differ < maxReports
	})
	t.Logf("%d MiB of WAL: %d records, %d blocks, %d images compared, %d differ", (rd.EndLSN()-c.CheckPoint)>>20, records, blocks, images, differ)
	if records < 100_000 || images < 100_000 {
		t.Error("too little for a corpus")
	}
	t.Logf("operations without a record: %v", unseen(c.Version, w.seen))
}

// unseen lists the operations of a version's tables that are not in seen.
func unseen(v *pg.Version, seen map[opID]bool) (names []string) {
	for id := range opsOf(v) {
		if !seen[id] {
			names = append(names, nameOf(id))
		}
	}
	slices.Sort(names)
	return names
}
