package walredo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// world is a cluster's pages in memory, brought forward record by record through Redo
// and Touches, as a store would. Forks that no record has touched are still as in the
// base directory, if there is one.
type world struct {
	base     string      // a data directory as of the first record, or ""
	v        *pg.Version // whose data directory base is
	cluster  Cluster
	commitTs bool // the server keeps pg_commit_ts
	forks    map[pg.RelFork]*fork
	covered  coverage
	seen     map[opID]bool         // what records there were
	scratch  [2][pg.BlockSize]byte // for compareImages

	// holed are the pages of visibility maps whose bits the primary has and did not log: CREATE
	// DATABASE logs images of the maps that it copies without their holes, which is all of them.
	holed map[pg.BufferTag]bool

	// before, if set, sees each page that is about to be changed, registered or not.
	before func(page pg.Page, tag pg.BufferTag, rec *xlog.Record)
}

// fork is the blocks of one fork, or of an SLRU's segment; gone says it was dropped.
type fork struct {
	pages []worldPage
	gone  bool
}

// worldPage is a page and what it became so by. known is false for one that nothing
// said anything of: it counts as zeros.
type worldPage struct {
	page  pg.Page
	known bool
	last  lastRecord
}

// lastRecord names a record in error messages, without holding on to it.
type lastRecord struct {
	start   pg.LSN
	v       *pg.Version
	rmgr    xlog.RmgrID
	info    uint8
	unnamed bool
}

func (l lastRecord) String() string {
	if l.start == 0 {
		return "no record"
	}
	rm, op := Name(&xlog.Record{V: l.v, RmgrID: l.rmgr, Info: l.info})
	s := fmt.Sprintf("%s/%s at %v", rm, op, l.start)
	if l.unnamed {
		s += " (not named there)"
	}
	return s
}

func newWorld(v *pg.Version, base string, cluster Cluster) *world {
	return &world{v: v, base: base, cluster: cluster, forks: map[pg.RelFork]*fork{}, covered: coverage{}, seen: map[opID]bool{}, holed: map[pg.BufferTag]bool{}}
}

// fork finds a fork's blocks, reading them from the base the first time.
func (w *world) fork(rf pg.RelFork) *fork {
	f := w.forks[rf]
	if f == nil {
		f = &fork{gone: true}
		if w.base != "" {
			f.load(w.v, w.base, rf)
		}
		w.forks[rf] = f
	}
	return f
}

func (f *fork) load(v *pg.Version, base string, rf pg.RelFork) {
	for seg := uint32(0); ; seg++ {
		b, err := os.ReadFile(filepath.Join(base, v.RelPath(rf, seg)))
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			panic(err) // a test's own directory
		}
		f.gone = false
		for ; len(b) >= pg.BlockSize; b = b[pg.BlockSize:] {
			f.pages = append(f.pages, worldPage{page: b[:pg.BlockSize:pg.BlockSize], known: true})
		}
		if rf.IsSLRU() {
			return
		}
	}
}

// at gives a page, extending the fork with zero pages if need be. Those in between are
// made when they are asked for.
func (w *world) at(tag pg.BufferTag) *worldPage {
	f := w.fork(tag.RelFork)
	f.gone = false
	for pg.BlockNumber(len(f.pages)) <= tag.Block {
		f.pages = append(f.pages, worldPage{})
	}
	wp := &f.pages[tag.Block]
	if wp.page == nil {
		wp.page = make(pg.Page, pg.BlockSize)
	}
	return wp
}

func (w *world) size(rf pg.RelFork) pg.BlockNumber { return pg.BlockNumber(len(w.fork(rf).pages)) }

// drop forgets a fork; a later record may create it anew.
func (w *world) drop(rf pg.RelFork) { w.forks[rf] = &fork{gone: true} }

func (w *world) truncate(rf pg.RelFork, n pg.BlockNumber) {
	if f := w.fork(rf); pg.BlockNumber(len(f.pages)) > n {
		f.pages = f.pages[:n]
	}
}

// apply replays one record: its registered blocks but those to skip, then the pages it
// does not name.
func (w *world) apply(rec *xlog.Record, skip blockSet) error {
	for i := range rec.Blocks {
		if skip.has(rec.Blocks[i].ID) {
			continue
		}
		if err := w.applyBlock(rec, &rec.Blocks[i]); err != nil {
			return err
		}
	}
	var err error
	terr := Touches(rec, func(tag pg.BufferTag) {
		if err == nil {
			err = w.applyUnnamed(rec, tag)
		}
	})
	return errors.Join(terr, err)
}

func (w *world) applyBlock(rec *xlog.Record, blk *xlog.BlockRef) error {
	wp := w.at(blk.Tag)
	if blk.WillInit {
		// Whatever was there must not show through.
		for i := range wp.page {
			wp.page[i] = 0xA5
		}
	}
	if w.before != nil {
		w.before(wp.page, blk.Tag, rec)
	}
	if err := w.cluster.Redo(wp.page, blk.Tag, rec); err != nil {
		return err
	}
	wp.known = true
	if blk.Tag.Fork == pg.VisibilityMapFork && blk.HasImage && blk.Apply {
		w.holed[blk.Tag] = blk.Image.HoleLength > 0
	}
	wp.last = lastRecord{start: rec.StartLSN, v: rec.V, rmgr: rec.RmgrID, info: rec.Info}
	w.covered.block(rec, blk)
	return nil
}

func (w *world) applyUnnamed(rec *xlog.Record, tag pg.BufferTag) error {
	if slru, _, ok := tag.SLRU(); ok {
		if slru == pg.SLRUCommitTs && rec.RmgrID == xlog.RmXact && !w.commitTs {
			return nil
		}
	} else if size := w.size(tag.RelFork); tag.Block >= size {
		if rec.RmgrID == xlog.RmSmgr {
			return nil // a truncation of what is not there
		}
		for b := size; b <= tag.Block; b++ {
			w.at(tag.RelFork.Tag(b)).page.Init(0) // vm_extend
		}
	}
	wp := w.at(tag)
	if w.before != nil {
		w.before(wp.page, tag, rec)
	}
	if err := w.cluster.Redo(wp.page, tag, rec); err != nil {
		return err
	}
	wp.known = true
	wp.last = lastRecord{start: rec.StartLSN, v: rec.V, rmgr: rec.RmgrID, info: rec.Info, unnamed: true}
	w.covered.unnamed(rec)
	return nil
}

// opID names an op in a version's tables; init tells the form with the INIT_PAGE bit.
type opID struct {
	v    *pg.Version
	rm   xlog.RmgrID
	op   uint8
	init bool
}

func opOf(rec *xlog.Record) opID {
	id := opID{v: rec.V, rm: rec.RmgrID, op: rec.Op() >> 4}
	if _, o := lookup(rec); o != nil {
		id.init = o.initName != "" && rec.InitPage()
	}
	return id
}

// reached counts what of an op was really done: blocks redone, by id, and pages that
// it does not name.
type reached struct {
	blocks  blockSet
	redone  int
	unnamed int
}

type coverage map[opID]reached

func (c coverage) block(rec *xlog.Record, blk *xlog.BlockRef) {
	_, o := lookup(rec)
	if blk.HasImage && blk.Apply && !o.afterImage.has(blk.ID) {
		return
	}
	id := opOf(rec)
	r := c[id]
	r.blocks |= 1 << blk.ID
	r.redone++
	c[id] = r
}

func (c coverage) unnamed(rec *xlog.Record) {
	id := opOf(rec)
	r := c[id]
	r.unnamed++
	c[id] = r
}

func (c coverage) add(d coverage) {
	for id, r := range d {
		have := c[id]
		have.blocks |= r.blocks
		have.redone += r.redone
		have.unnamed += r.unnamed
		c[id] = have
	}
}

// diffPages says where two pages differ first and in what, or "" if they do not. The
// checksum counts only if nothing else differs.
func diffPages(got, want pg.Page, place func(page pg.Page, at int) string) string {
	first, n := -1, 0
	for i := range want {
		if got[i] == want[i] || i == 8 || i == 9 {
			continue
		}
		if n++; first < 0 {
			first = i
		}
	}
	if first < 0 {
		if got.Checksum() == want.Checksum() {
			return ""
		}
		first = 8
	}
	lo, hi := first&^7, min(first&^7+32, len(want))
	return fmt.Sprintf("%d bytes differ, first at %d (%s): got % x, want % x", n, first, place(want, first), got[lo:hi], want[lo:hi])
}

// placeInSLRU is placeOf for pages that are plain arrays.
func placeInSLRU(pg.Page, int) string { return "no header" }

// placeOf says what lies at an offset of a page, as far as every page is alike.
func placeOf(page pg.Page, at int) string {
	fields := []struct {
		end  int
		name string
	}{{8, "pd_lsn"}, {10, "pd_checksum"}, {12, "pd_flags"}, {14, "pd_lower"}, {16, "pd_upper"}, {18, "pd_special"},
		{20, "pd_pagesize_version"}, {24, "pd_prune_xid"}}
	for _, f := range fields {
		if at < f.end {
			return f.name
		}
	}
	switch {
	case at < int(page.Lower()):
		return fmt.Sprintf("line pointer %d", (at-pg.PageHeaderSize)/pg.ItemIDSize+1)
	case at < int(page.Upper()):
		return "free space"
	case at >= int(page.Special()):
		return fmt.Sprintf("special area + %d", at-int(page.Special()))
	}
	for off := pg.FirstOffsetNumber; page.HasItem(off); off++ {
		if id := page.ItemID(off); id.HasStorage() && at >= id.Offset() && at < pg.MaxAlign(id.Offset()+id.Length()) {
			return fmt.Sprintf("item %d + %d", off, at-id.Offset())
		}
	}
	return "between items"
}

// describe names a record with its blocks, for a failure.
func describe(rec *xlog.Record) string {
	rm, op := Name(rec)
	s := fmt.Sprintf("%s/%s at %v, xid %d, main data % x", rm, op, rec.StartLSN, rec.XID, rec.MainData[:min(len(rec.MainData), 64)])
	for i := range rec.Blocks {
		b := &rec.Blocks[i]
		s += fmt.Sprintf("\n\tblock %d: %v, init %v, image %v, apply %v, %d bytes of data", b.ID, b.Tag, b.WillInit, b.HasImage, b.Apply, len(b.Data))
	}
	return s
}
