package walredo

import (
	"errors"
	"flag"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Bad bytes in a record or a page must give an error, or some page: never a panic. There
// is a fuzz target for each resource manager, and TestMutated throws a quick handful of
// damage at all of them in every run. Fuzz with -fuzzminimizetime 10x: inputs are as
// large as a page, and making the interesting ones small would take all the time.

// step is one redo that the fixtures do: the page before it and the record.
type step struct {
	v    *pg.Version
	page pg.Page
	tag  pg.BufferTag
	raw  []byte
	id   stepID
}

// stepID is what steps are collected by: so many of each.
type stepID struct {
	op      opID
	block   int // -1: not named in the record
	image   bool
	variant int
}

const (
	stepsOfEach = 4
	longestStep = 20000 // bytes of a record worth mutating
)

var allSteps struct {
	once  sync.Once
	steps []step
}

// fixtureSteps collects steps of all kinds from all fixtures.
func fixtureSteps(t testing.TB) []step {
	t.Helper()
	allSteps.once.Do(func() {
		seen := map[stepID]int{}
		for _, f := range fixtures(t) {
			w := newFixtureWorld()
			w.before = func(page pg.Page, tag pg.BufferTag, rec *xlog.Record) {
				id := stepID{op: opOf(rec), block: -1, variant: min(len(rec.MainData), 64)}
				for i := range rec.Blocks {
					if blk := &rec.Blocks[i]; blk.Tag == tag {
						id.block, id.image = int(blk.ID), blk.HasImage && blk.Apply
					}
				}
				if seen[id]++; seen[id] > stepsOfEach || len(rec.Raw) > longestStep {
					return
				}
				allSteps.steps = append(allSteps.steps, step{
					v: rec.V, page: append(pg.Page(nil), page...), tag: tag, raw: append([]byte(nil), rec.Raw...), id: id,
				})
			}
			w.replayFixture(t, f)
		}
	})
	return allSteps.steps
}

// redoAnything does with a record and a page all that this package can, and fails on an
// error that has no name.
func redoAnything(t testing.TB, rec *xlog.Record, page pg.Page, tag pg.BufferTag) {
	t.Helper()
	tmp := make(pg.Page, pg.BlockSize)
	check := func(tag pg.BufferTag) {
		copy(tmp, page)
		if err := Redo(tmp, tag, rec); err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("error of no kind: %v", err)
		}
		Mask(rec.V, rec.RmgrID, tmp, tag.Block)
	}
	check(tag)
	for i := range rec.Blocks {
		check(rec.Blocks[i].Tag)
	}
	n := 0
	if err := Touches(rec, func(tag pg.BufferTag) {
		if n++; n <= 4 {
			check(tag)
		}
	}); err != nil && !errors.Is(err, ErrCorrupt) {
		t.Errorf("error of no kind: %v", err)
	}
}

// TestMutated damages records and pages of every kind a little.
func TestMutated(t *testing.T) {
	const rounds = 60
	rng := rand.New(rand.NewPCG(15, 20))
	var rec xlog.Record
	for _, s := range fixtureSteps(t) {
		for range rounds {
			page := append(pg.Page(nil), s.page...)
			if err := xlog.Decode(s.v, append([]byte(nil), s.raw...), 8, 16, &rec); err != nil {
				t.Fatal(err)
			}
			mutate(rng, &rec, page)
			if !survives(t, &rec, page, s.tag) {
				t.Fatalf("on %s, page % x", describe(&rec), page[:64])
			}
		}
	}
}

// survives reports whether redoAnything came back.
func survives(t *testing.T, rec *xlog.Record, page pg.Page, tag pg.BufferTag) (ok bool) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("panic: %v", r)
			ok = false
		}
	}()
	redoAnything(t, rec, page, tag)
	return true
}

// mutate changes a few bytes or lengths, most of them where the structures are.
func mutate(rng *rand.Rand, rec *xlog.Record, page pg.Page) {
	smash := func(b []byte) {
		if len(b) == 0 {
			return
		}
		values := [...]byte{0, 1, 0x7F, 0x80, 0xFF, byte(rng.Uint32())}
		at := rng.IntN(len(b))
		b[at] = values[rng.IntN(len(values))]
		if rng.IntN(2) == 0 && at+1 < len(b) {
			b[at+1] = values[rng.IntN(len(values))]
		}
	}
	for range 1 + rng.IntN(4) {
		switch rng.IntN(8) {
		case 0, 1:
			smash(rec.MainData)
		case 2:
			rec.MainData = rec.MainData[:rng.IntN(len(rec.MainData)+1)]
		case 3:
			smash(page[12:min(len(page), 200)])
		case 4:
			smash(page[len(page)-16:])
		case 5:
			smash(page)
		default:
			if len(rec.Blocks) == 0 {
				continue
			}
			blk := &rec.Blocks[rng.IntN(len(rec.Blocks))]
			if blk.Apply = blk.Apply && rng.IntN(2) == 0; rng.IntN(3) == 0 {
				blk.Data = blk.Data[:rng.IntN(len(blk.Data)+1)]
			}
			smash(blk.Data[:min(len(blk.Data), 64)])
		}
	}
}

// versionAt is where a record has two bytes of padding: a fuzz target's input has there which of pg.Versions it is of.
const versionAt = 18

// fuzz is the target of one resource manager: raw becomes a record of it, page what its
// blocks are before.
func fuzz(f *testing.F, rm xlog.RmgrID) {
	// A worker is handed its inputs; collecting them again would take all its time.
	if worker := flag.Lookup("test.fuzzworker"); worker == nil || worker.Value.String() != "true" {
		for _, s := range fixtureSteps(f) {
			if s.id.op.rm == rm {
				s.raw[versionAt] = byte(slices.Index(pg.Versions, s.v))
				f.Add(s.raw, []byte(s.page), uint32(s.tag.SpcOID), uint32(s.tag.DBOID), uint32(s.tag.RelNumber), uint8(s.tag.Fork), uint32(s.tag.Block))
			}
		}
	}
	f.Fuzz(func(t *testing.T, raw, page []byte, spc, db, rel uint32, fork uint8, block uint32) {
		var rec xlog.Record
		if len(raw) > 17 {
			raw[17] = byte(rm) // xl_rmid
		}
		if len(raw) <= versionAt || xlog.Decode(pg.Versions[int(raw[versionAt])%len(pg.Versions)], raw, 8, 16, &rec) != nil {
			return
		}
		tag := pg.RelFork{
			RelFileLocator: pg.RelFileLocator{SpcOID: pg.OID(spc), DBOID: pg.OID(db), RelNumber: pg.OID(rel)},
			Fork:           pg.ForkNumber(fork),
		}.Tag(pg.BlockNumber(block))
		full := make(pg.Page, pg.BlockSize)
		copy(full, page)
		redoAnything(t, &rec, full, tag)
	})
}

func FuzzXLOG(f *testing.F)      { fuzz(f, xlog.RmXLOG) }
func FuzzXact(f *testing.F)      { fuzz(f, xlog.RmXact) }
func FuzzSmgr(f *testing.F)      { fuzz(f, xlog.RmSmgr) }
func FuzzCLOG(f *testing.F)      { fuzz(f, xlog.RmCLOG) }
func FuzzMultiXact(f *testing.F) { fuzz(f, xlog.RmMultiXact) }
func FuzzCommitTs(f *testing.F)  { fuzz(f, xlog.RmCommitTs) }
func FuzzHeap(f *testing.F)      { fuzz(f, xlog.RmHeap) }
func FuzzHeap2(f *testing.F)     { fuzz(f, xlog.RmHeap2) }
func FuzzBtree(f *testing.F)     { fuzz(f, xlog.RmBtree) }
func FuzzHash(f *testing.F)      { fuzz(f, xlog.RmHash) }
func FuzzGin(f *testing.F)       { fuzz(f, xlog.RmGin) }
func FuzzGist(f *testing.F)      { fuzz(f, xlog.RmGist) }
func FuzzSPGist(f *testing.F)    { fuzz(f, xlog.RmSPGist) }
func FuzzBRIN(f *testing.F)      { fuzz(f, xlog.RmBRIN) }
func FuzzSeq(f *testing.F)       { fuzz(f, xlog.RmSeq) }
func FuzzGeneric(f *testing.F)   { fuzz(f, xlog.RmGeneric) }
