package walredo

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"maps"
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

// Fixtures are recorded WAL of real servers: testdata/<case>.sql is the source,
// testdata/<server>/<case>.wal.zst what a server logged with wal_consistency_checking=all, in segments
// of 1 MiB, from a segment's first record on. Each record brings an image of its blocks
// as they must be after it. <server> is a supported major version, or a minor release that
// logs something in another way than the major version's newest.
//
// The script is psql's. Comments at its top say how to make the server:
//
//	-- initdb: --data-checksums
//	-- config: track_commit_timestamp=on
//	-- oracle: no, and why not
//	-- counters: xid=1048250 multi=65500   with which it begins; the first segments of SLRUs are made whole
//	-- change: max_connections=77     a setting that the server records with
//	-- also: 17.10                    minor releases to be recorded, too
//	-- only: 19                       the servers to be recorded, in place of all
//
// What stands before a line "-- record" prepares and is not in the fixture. A script
// that needs two sessions opens the second by dblink; :'conn' is its conninfo.
var (
	update = flag.Bool("update", false, "record the fixtures anew from their .sql files")
	only   = flag.String("case", "", "regular expression of the fixtures to update, replay or check against the oracle")
)

const fixtureSegSize = 1 << 20

// fixture is one case's script, for one server.
type fixture struct {
	name     string // of the script
	server   string // of the installation, see pgtest.Installed
	initArgs []string
	config   []string
	counters map[string]uint64
	change   []string
	also     []string
	only     []string
	setup    string
	load     string
	noOracle string // why TestOracle leaves it out
}

// fixtures reads the scripts, and gives those of their fixtures that -case selects.
func fixtures(t testing.TB) []fixture {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "*.sql"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures (%v)", err)
	}
	want, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	var fs []fixture
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f := parseFixture(t, strings.TrimSuffix(filepath.Base(path), ".sql"), string(b))
		servers := append(majors(), f.also...)
		if len(f.only) > 0 {
			servers = f.only
		}
		for _, f.server = range servers {
			if want.MatchString(f.String()) {
				fs = append(fs, f)
			}
		}
	}
	return fs
}

// majors are the names of the supported major versions.
func majors() (names []string) {
	for _, v := range pg.Versions {
		names = append(names, strconv.Itoa(v.Major))
	}
	return names
}

func parseFixture(t testing.TB, name, script string) fixture {
	t.Helper()
	f := fixture{name: name, load: script, counters: map[string]uint64{}}
	if setup, load, found := strings.Cut(script, "\n-- record\n"); found {
		f.setup, f.load = setup, load
	}
	for _, line := range strings.Split(script, "\n") {
		if args, ok := strings.CutPrefix(line, "-- initdb: "); ok {
			f.initArgs = append(f.initArgs, strings.Fields(args)...)
		} else if v, ok := strings.CutPrefix(line, "-- config: "); ok {
			f.config = append(f.config, v)
		} else if list, ok := strings.CutPrefix(line, "-- counters: "); ok {
			for _, field := range strings.Fields(list) {
				name, value, _ := strings.Cut(field, "=")
				n, err := strconv.ParseUint(value, 10, 64)
				if err != nil {
					t.Fatalf("%s.sql: %q: %v", f.name, line, err)
				}
				f.counters[name] = n
			}
		} else if v, ok := strings.CutPrefix(line, "-- change: "); ok {
			f.change = append(f.change, v)
		} else if list, ok := strings.CutPrefix(line, "-- also: "); ok {
			f.also = strings.Fields(list)
		} else if list, ok := strings.CutPrefix(line, "-- only: "); ok {
			f.only = strings.Fields(list)
		} else if why, ok := strings.CutPrefix(line, "-- oracle: no, "); ok {
			f.noOracle = why
		}
	}
	return f
}

// String names the fixture as -case does, such as 16/heap.
func (f fixture) String() string { return f.server + "/" + f.name }

func (f fixture) path() string { return filepath.Join("testdata", f.server, f.name+".wal.zst") }

// psql runs one of the fixture's two parts.
func psql(t testing.TB, srv *pgtest.Server, script string) {
	t.Helper()
	srv.Psql(t, fmt.Sprintf("\\set conn 'host=%s user=postgres dbname=postgres'\n%s", srv.Socket, script))
}

// prepare makes the fixture's server, runs its setup, and stops it with its last
// checkpoint at the start of a segment.
func (f fixture) prepare(t testing.TB, config ...string) *pgtest.Server {
	t.Helper()
	srv := pgtest.Init(t, pgtest.Options{
		Installation: pgtest.Installed(t, f.server),
		InitArgs:     append([]string{fmt.Sprintf("--wal-segsize=%d", fixtureSegSize>>20)}, f.initArgs...),
		Config:       append(f.config, "wal_keep_size='10GB'"),
	})
	if len(f.counters) > 0 {
		f.setCounters(t, srv)
	}
	srv.Start(t)
	psql(t, srv, f.setup)
	srv.Psql(t, "SELECT pg_switch_wal()")
	srv.Stop(t, pgtest.Fast)
	srv.Configure(t, append(config, f.change...)...)
	return srv
}

// setCounters sets the counters of a new cluster, and makes the segments of its SLRUs in which they are.
func (f fixture) setCounters(t testing.TB, srv *pgtest.Server) {
	t.Helper()
	v := srv.Control(t).Version
	for slru, pageno := range map[pg.SLRU]uint64{
		pg.SLRUXact:         f.counters["xid"] / pg.XactsPerPage,
		pg.SLRUMultiOffsets: f.counters["multi"] / uint64(v.MultiOffsetsPerPage()),
		pg.SLRUMultiMembers: f.counters["offset"] / pg.MembersPerPage,
	} {
		path := filepath.Join(srv.Dir, v.RelPath(slru.Page(uint32(pageno)).RelFork, 0))
		file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		uid, gid := pgtest.Owner(t)
		if err := errors.Join(file.Truncate(pg.SLRUPagesPerSegment*pg.BlockSize), file.Close(), os.Chown(path, uid, gid)); err != nil {
			t.Fatal(err)
		}
	}
	srv.SetCounters(t, func(cp *pg.CheckPoint) {
		cp.NextXID = pg.FullTransactionID(f.counters["xid"])
		cp.NextMulti, cp.OldestMulti = pg.MultiXactID(f.counters["multi"]), pg.MultiXactID(f.counters["oldestmulti"])
		cp.NextMultiOffset = pg.MultiXactOffset(f.counters["offset"])
	})
}

// TestUpdateFixtures is what `make testdata` runs.
func TestUpdateFixtures(t *testing.T) {
	if !*update {
		t.Skip("only with -update")
	}
	for _, f := range fixtures(t) {
		t.Run(f.String(), func(t *testing.T) {
			srv := f.prepare(t, "wal_consistency_checking=all")
			start := srv.Control(t).CheckPoint / fixtureSegSize * fixtureSegSize
			srv.Start(t)
			psql(t, srv, f.load)
			srv.Stop(t, pgtest.Fast)
			wal := srv.Record(t, start)
			if err := os.MkdirAll(filepath.Dir(f.path()), 0o755); err != nil {
				t.Fatal(err)
			}
			wal.Save(t, f.path())
			t.Logf("%d bytes of WAL", len(wal.Pages))
		})
	}
}

// eachRecord calls fn with each record until it says false or the WAL ends.
func eachRecord(t testing.TB, r *xlog.Reader, fn func(rec *xlog.Record) bool) {
	t.Helper()
	var rec xlog.Record
	for {
		if err := r.Next(&rec); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if !fn(&rec) {
			return
		}
	}
}

// wal unpacks a fixture's WAL.
func (f fixture) wal(t testing.TB) pgtest.Recorded {
	t.Helper()
	return pgtest.LoadRecorded(t, f.path())
}

// TestEveryOp replays each fixture and compares every block that a record changes with
// the image in the record: PostgreSQL's own check, verifyBackupPageConsistency. Then it
// sees that for each major version the fixtures have reached all that its tables have.
func TestEveryOp(t *testing.T) {
	fs := fixtures(t)
	replayed := make([]*world, len(fs))
	t.Run("fixture", func(t *testing.T) {
		for i, f := range fs {
			t.Run(f.String(), func(t *testing.T) {
				t.Parallel()
				w := newFixtureWorld()
				checked := w.replayFixture(t, f)
				t.Logf("%d blocks compared", checked)
				if checked == 0 {
					t.Error("nothing was compared")
				}
				replayed[i] = w
			})
		}
	})
	if *only != "" {
		return // whether all is reached, only all of them tell
	}
	all, seen := coverage{}, map[opID]bool{}
	for _, w := range replayed {
		if w == nil {
			return // its fixture has failed
		}
		all.add(w.covered)
		maps.Copy(seen, w.seen)
	}
	for _, v := range pg.Versions {
		t.Run(v.String(), func(t *testing.T) { checkVersion(t, v, all, seen) })
	}
}

// checkVersion sees that the fixtures of one version have reached all ops of its tables:
// seen are the records that there were, all is what was redone.
func checkVersion(t *testing.T, v *pg.Version, all coverage, seen map[opID]bool) {
	t.Helper()
	missing := unseen(v, seen)
	for _, name := range missing {
		if absent[name] == "" {
			t.Errorf("no fixture has a record %s", name)
		}
	}
	has := map[string]bool{}
	for id := range opsOf(v) {
		has[nameOf(id)] = true
	}
	for name := range absent {
		if has[name] && !slices.Contains(missing, name) {
			t.Errorf("%s is in a fixture after all; the table says: %s", name, absent[name])
		}
	}
	for id, o := range opsOf(v) {
		checkReached(t, all, id, nameOf(id), o)
	}
}

// opsOf goes through the ops of a version's tables, and each op's form with the INIT_PAGE
// bit, if it has one.
func opsOf(v *pg.Version) iter.Seq2[opID, *op] {
	return func(yield func(opID, *op) bool) {
		for rm, m := range versions.Of(v) {
			if m == nil {
				continue
			}
			for i := range m.ops {
				o, id := &m.ops[i], opID{v: v, rm: xlog.RmgrID(rm), op: uint8(i)}
				if o.known() && !yield(id, o) {
					return
				}
				if id.init = true; o.initName != "" && !yield(id, o) {
					return
				}
			}
		}
	}
}

// nameOf is the op's name as errors have it.
func nameOf(id opID) string {
	m := rmgrOf(id.v, id.rm)
	if id.init {
		return m.name + "/" + m.ops[id.op].initName
	}
	return m.name + "/" + m.ops[id.op].name
}

// absent lists the records that no fixture has, and why. None of them changes a page.
var absent = map[string]string{
	"XLOG/NOOP":                 "no server logs it",
	"XLOG/ASSIGN_LSN":           "with wal_level=minimal only, whose WAL is refused",
	"XLOG/OVERWRITE_CONTRECORD": "in internal/xlog's fixture, of a server that crashed",
	"XLOG/END_OF_RECOVERY":      "begins another timeline",
	"Gist/ASSIGN_LSN":           "with wal_level=minimal only, whose WAL is refused",
	"Heap/HOT_UPDATE+INIT":      "a HOT update's page has the old tuple: never made anew",
}

// unreached lists what no fixture reaches, and why.
var unreached = map[string]string{
	"XLOG/FPI":                  "only called to refuse a record without an image",
	"Hash/SPLIT_PAGE":           "the same",
	"Gin/VACUUM_PAGE":           "the same",
	"Heap/HOT_UPDATE+INIT":      "a HOT update's page has the old tuple: never made anew",
	"Heap2/LOCK_UPDATED effect": "the page has a tuple of a running transaction: not all frozen",
}

func checkReached(t *testing.T, all coverage, id opID, name string, o *op) {
	t.Helper()
	r := all[id]
	for _, c := range []struct {
		name string
		has  bool
		done int
	}{{name, o.redo != nil, r.redone}, {name + " effect", o.effect != nil && !id.init, r.unnamed}} {
		reason, excused := unreached[c.name]
		switch {
		case c.has && c.done == 0 && !excused:
			t.Errorf("no fixture reaches %s", c.name)
		case excused && c.done > 0:
			t.Errorf("%s is reached after all; the table says: %s", c.name, reason)
		}
	}
}

// maxReports bounds what one fixture's failure prints.
const maxReports = 10

// newFixtureWorld has no base: what a fixture's pages were before is not known.
func newFixtureWorld() *world {
	w := newWorld(nil, "", Cluster{LogHints: true})
	w.commitTs = true
	return w
}

// replayFixture replays a fixture's WAL, and says how many blocks it compared.
func (w *world) replayFixture(t testing.TB, f fixture) (checked int) {
	t.Helper()
	reports := 0
	report := func(rec *xlog.Record, format string, args ...any) bool {
		t.Errorf("%s\n\t%s", describe(rec), fmt.Sprintf(format, args...))
		reports++
		return reports < maxReports
	}
	eachRecord(t, f.wal(t).Reader(), func(rec *xlog.Record) bool {
		w.seen[opOf(rec)] = true
		unknown := adopt(t, w, rec)
		if err := w.apply(rec, unknown); err != nil {
			return report(rec, "%v", err)
		}
		n, err := w.compareImages(rec, unknown)
		checked += n
		return err == nil || report(rec, "%v", err)
	})
	return checked
}

// compareImages compares the blocks that a record has changed, but those to skip, with the
// images of them that it brings for that.
func (w *world) compareImages(rec *xlog.Record, skip blockSet) (checked int, err error) {
	img, tmp := w.scratch[0][:], w.scratch[1][:]
	for i := range rec.Blocks {
		blk := &rec.Blocks[i]
		if !blk.HasImage || blk.Apply || skip.has(blk.ID) {
			continue
		}
		if err := blk.Image.Restore(img); err != nil {
			return checked, fmt.Errorf("image of block %d: %w", blk.ID, err)
		}
		copy(tmp, w.at(blk.Tag).page)
		if blk.Tag.Fork == pg.VisibilityMapFork {
			// The mask would hide all of it, the hole being everything.
			maskLSN(img)
			maskLSN(tmp)
			if w.holed[blk.Tag] {
				for i := pg.PageHeaderSize; i < pg.BlockSize; i++ {
					img[i] &= tmp[i]
				}
			}
		} else if !Mask(rec.V, rec.RmgrID, img, blk.Tag.Block) || !Mask(rec.V, rec.RmgrID, tmp, blk.Tag.Block) {
			continue
		}
		if d := diffPages(tmp, img, placeOf); d != "" {
			return checked, fmt.Errorf("block %d: %s", blk.ID, d)
		}
		checked++
	}
	return checked, nil
}

// adopt finds the blocks that the fixture's WAL has said nothing of yet, and that this
// record does not make whole: they cannot be redone. An image of the block after the
// record, if there is one, is where its history begins.
func adopt(t testing.TB, w *world, rec *xlog.Record) (unknown blockSet) {
	t.Helper()
	for i := range rec.Blocks {
		blk := &rec.Blocks[i]
		wp := w.at(blk.Tag)
		if blk.Restores() || wp.known {
			continue
		}
		unknown |= 1 << blk.ID
		if blk.HasImage {
			if err := blk.Image.Restore(wp.page); err != nil {
				t.Fatal(err)
			}
			wp.known = true
		}
	}
	return unknown
}
