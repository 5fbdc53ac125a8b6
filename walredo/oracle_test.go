package walredo

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
)

// The oracle is stock replay. A server runs a load and crashes. From a cold copy of the
// directory as it was before and the WAL, stock PostgreSQL recovers; from the same copy
// and the same WAL, Redo and Touches rebuild all pages in memory. Both must agree in
// every byte, visibility maps and SLRUs included, which no page image could check.
//
// full_page_writes is off, so that pages really are made by redo functions alone.

// TestOracle runs each fixture's script through the oracle: all of them for the default major version, for the others
// those about which major versions differ, unless -case says which.
func TestOracle(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	for _, f := range fixtures(t) {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			if f.noOracle != "" {
				t.Skip(f.noOracle)
			}
			if *only == "" && f.server != strconv.Itoa(pg.Default.Major) && !slices.Contains(differing, f.name) {
				t.Skip("only with -case: it is like the default major version's")
			}
			consult(t, f.prepare(t, "full_page_writes=off"), func(srv *pgtest.Server) { psql(t, srv, checks.ReplaceAllString(f.load, "")) })
		})
	}
}

// differing are the cases with records that major versions have otherwise than each other.
var differing = []string{"heap", "multixact", "btree", "hash", "gist", "spgist", "xact"}

// checks finds what a fixture's script says about images for consistency checks. The oracle needs none, and a server that
// marks GiST pages only in replay (see gistMarks) would not pass its own.
var checks = regexp.MustCompile(`(?m)^SET wal_consistency_checking = .*;$`)

// consult runs the load on a copy of base and compares what stock replay and ours make
// of it, at the end.
func consult(t *testing.T, base *pgtest.Server, load func(srv *pgtest.Server)) {
	t.Helper()
	consultAt(t, base, load, 0)
}

// consultAt is consult that compares at as many record boundaries within the WAL, too.
func consultAt(t *testing.T, base *pgtest.Server, load func(srv *pgtest.Server), points int) {
	t.Helper()
	srv := base.Copy(t)
	srv.Start(t)
	load(srv)
	srv.Stop(t, pgtest.Immediate)
	if t.Failed() {
		return
	}
	control := base.Control(t)
	var ends []pg.LSN
	eachRecord(t, srv.WAL(t).Reader(control.CheckPoint), func(rec *xlog.Record) bool {
		ends = append(ends, rec.EndLSN)
		return true
	})
	stops := map[pg.LSN]bool{ends[len(ends)-1]: true}
	for range points {
		stops[ends[rand.IntN(len(ends))]] = true
	}

	w := newWorld(control.Version, base.Dir, Cluster{LogHints: control.ChecksumVersion != 0 || control.Settings.WALLogHints})
	w.commitTs = control.Settings.TrackCommitTimestamp
	eachRecord(t, srv.WAL(t).Reader(control.CheckPoint), func(rec *xlog.Record) bool {
		if err := w.replay(rec); err != nil {
			t.Errorf("%s\n\t%v", describe(rec), err)
		} else if stops[rec.EndLSN] {
			askStock(t, w, base, srv.WAL(t), rec)
		}
		return !t.Failed()
	})
	t.Logf("%d records", len(ends))
	if len(ends) < 50 {
		t.Errorf("the load logged only %d records", len(ends))
	}
}

// askStock compares the world with what stock replay makes of the same WAL, up to rec.
func askStock(t *testing.T, w *world, base *pgtest.Server, wal pgtest.WALDir, rec *xlog.Record) {
	t.Helper()
	stock := pgtest.Recover(t, base, wal, rec.EndLSN)
	if done := redoDone(t, stock.Log(t)); done != rec.StartLSN {
		t.Errorf("stock replay ended with the record at %v, ours with that at %v", done, rec.StartLSN)
	}
	n := compareWorld(t, w, stock.Dir, base.Control(t).ChecksumVersion != 0)
	t.Logf("at %v: %d pages compared", rec.EndLSN, n)
	if n == 0 {
		t.Error("nothing was compared")
	}
	if t.Failed() {
		t.Errorf("compared behind %s", describe(rec))
	}
	stock.Remove(t)
}

// redoDone finds in a server's log which record its recovery ended with; 0: there is none.
func redoDone(t *testing.T, log string) pg.LSN {
	t.Helper()
	m := regexp.MustCompile(`redo done at ([0-9A-F]+/[0-9A-F]+)`).FindStringSubmatch(log)
	if m == nil {
		return 0
	}
	lsn, err := pg.ParseLSN(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return lsn
}

// replay is apply and what the record does to whole forks.
func (w *world) replay(rec *xlog.Record) error {
	if err := w.apply(rec, 0); err != nil {
		return err
	}
	switch rec.RmgrID {
	case xlog.RmSmgr:
		return w.replaySmgr(rec)
	case xlog.RmXact:
		return w.replayXact(rec)
	case xlog.RmDbase:
		return w.replayDbase(rec)
	case xlog.RmXLOG:
		if rec.Op() == xlog.XLOGParameterChange {
			s, err := xlog.ParseParameterChange(rec)
			if err != nil || s.TrackCommitTimestamp != w.commitTs {
				return fmt.Errorf("parameter change is not modelled here (%v)", err)
			}
		}
	case xlog.RmCLOG, xlog.RmCommitTs, xlog.RmMultiXact:
		if _, op := Name(rec); strings.HasPrefix(op, "TRUNCATE") {
			return fmt.Errorf("%s of an SLRU is not modelled here", op)
		}
	}
	return nil
}

func (w *world) replaySmgr(rec *xlog.Record) error {
	if rec.Op() == xlog.SmgrCreate {
		rf, err := xlog.ParseSmgrCreate(rec)
		w.fork(rf).gone = false
		return err
	}
	x, err := xlog.ParseSmgrTruncate(rec)
	rf := pg.RelFork{RelFileLocator: x.Rel}
	if x.Flags&xlog.SmgrTruncateHeap != 0 {
		w.truncate(rf, x.Blocks)
	}
	if rf.Fork = pg.VisibilityMapFork; x.Flags&xlog.SmgrTruncateVM != 0 {
		w.truncate(rf, (x.Blocks+vmBlocksPerPage-1)/vmBlocksPerPage)
	}
	return err
}

func (w *world) replayXact(rec *xlog.Record) error {
	switch rec.Op() {
	case xlog.XactCommit, xlog.XactAbort, xlog.XactCommitPrepared, xlog.XactAbortPrepared:
	default:
		return nil
	}
	end, err := xlog.ParseXactEnd(rec)
	for rel := range end.Rels.All() {
		for fork := pg.MainFork; fork <= pg.MaxFork; fork++ {
			w.drop(pg.RelFork{RelFileLocator: rel, Fork: fork})
		}
	}
	return err
}

func (w *world) replayDbase(rec *xlog.Record) error {
	switch rec.Op() {
	case xlog.DbaseCreateFileCopy:
		x, err := xlog.ParseDbaseCreate(rec)
		if err != nil {
			return err
		}
		for _, rf := range w.database(x.SrcSpcOID, x.SrcDBOID) {
			src := w.fork(rf)
			dst := &fork{gone: src.gone}
			for i := range src.pages {
				page := w.at(rf.Tag(pg.BlockNumber(i))).page
				dst.pages = append(dst.pages, worldPage{page: append(pg.Page(nil), page...), known: true})
			}
			rf.SpcOID, rf.DBOID = x.SpcOID, x.DBOID
			w.forks[rf] = dst
		}
	case xlog.DbaseDrop:
		x, err := xlog.ParseDbaseDrop(rec)
		if err != nil {
			return err
		}
		for _, spc := range x.SpcOIDs {
			for _, rf := range w.database(spc, x.DBOID) {
				w.drop(rf)
			}
		}
	}
	return nil
}

// database lists a database's forks, those that only the base has included.
func (w *world) database(spc, db pg.OID) []pg.RelFork {
	entries, err := os.ReadDir(filepath.Join(w.base, w.v.DatabasePath(spc, db)))
	if err == nil {
		for _, e := range entries {
			if p := w.v.ParsePath(w.v.DatabasePath(spc, db) + "/" + e.Name()); p.Kind == pg.PathRelation {
				w.fork(p.Fork)
			}
		}
	}
	var rfs []pg.RelFork
	for rf, f := range w.forks {
		if rf.SpcOID == spc && rf.DBOID == db && !f.gone {
			rfs = append(rfs, rf)
		}
	}
	return rfs
}

// compareWorld compares all forks with the files of a data directory.
func compareWorld(t *testing.T, w *world, dir string, checksums bool) (pages int) {
	t.Helper()
	files := forkFiles(t, w.v, dir)
	compared := func(rf pg.RelFork) bool {
		init := rf
		init.Fork = pg.InitFork
		_, unlogged := files[init]
		return rf.Fork != pg.FSMFork && (rf.Fork == pg.InitFork || !unlogged || rf.IsSLRU())
	}
	reports := 0
	report := func(format string, args ...any) {
		t.Helper()
		if reports++; reports <= maxReports {
			t.Errorf(format, args...)
		}
	}
	for rf, want := range files {
		if !compared(rf) {
			continue
		}
		f := w.fork(rf)
		if f.gone {
			report("%v: stock replay keeps it, ours dropped it", rf)
			continue
		}
		if len(f.pages)*pg.BlockSize != len(want) {
			report("%v: %d blocks, stock replay has %d bytes", rf, len(f.pages), len(want))
		}
		place := placeOf
		if rf.IsSLRU() {
			place = placeInSLRU
		}
		for i := range f.pages[:min(len(f.pages), len(want)/pg.BlockSize)] {
			p := w.at(rf.Tag(pg.BlockNumber(i)))
			if checksums && !rf.IsSLRU() {
				p.page.SetChecksumInplace(pg.BlockNumber(i))
			}
			stock := pg.Page(want[i*pg.BlockSize:][:pg.BlockSize])
			if !rf.IsSLRU() {
				gistMarks(stock, p.page)
			}
			if d := diffPages(p.page, stock, place); d != "" {
				report("%v, last changed by %v: %s", rf.Tag(pg.BlockNumber(i)), p.last, d)
			}
			pages++
		}
	}
	for rf, f := range w.forks {
		if _, ok := files[rf]; !ok && !f.gone && compared(rf) {
			report("%v: ours has %d blocks, stock replay has no file", rf, len(f.pages))
		}
	}
	if reports > maxReports {
		t.Errorf("%d differences in all", reports)
	}
	return pages
}

// gistMarks takes a mark off stock's page, if it is a GiST index's: minor releases before November 2026 set F_TUPLES_DELETED
// in replay, though no server set it when it wrote the record. Redo does as later ones do.
func gistMarks(stock, ours pg.Page) {
	const special = pg.BlockSize - gistOpaqueSize
	if stock.Special() != special || binary.LittleEndian.Uint16(stock[special+14:]) != gistPageID {
		return
	}
	o, mine := gistPageOpaque(stock[special:]), gistPageOpaque(ours[special:])
	if o.flags()&gistTuplesGone != 0 && mine.flags()&gistTuplesGone == 0 {
		o.dropFlags(gistTuplesGone)
		stock.SetChecksum(ours.Checksum()) // is right if all else is
	}
}

// forkFiles reads all relation forks and SLRU segments of a data directory. The files
// must fit into memory, and relations into one segment.
func forkFiles(t *testing.T, v *pg.Version, dir string) map[pg.RelFork][]byte {
	t.Helper()
	files := map[pg.RelFork][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		p := v.ParsePath(filepath.ToSlash(rel))
		if p.Kind != pg.PathRelation && p.Kind != pg.PathSLRU {
			return nil
		}
		if p.Segment != 0 {
			return fmt.Errorf("%s: larger than this test is made for", rel)
		}
		files[p.Fork], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
