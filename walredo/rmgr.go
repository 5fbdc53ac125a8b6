package walredo

import (
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// redoFunc brings page, which is blk's, from before rec to after it. It does not
// set pd_lsn: Redo does.
type redoFunc func(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error

// blockSet is a set of block ids (0..32), bit by bit.
type blockSet uint64

// Sets for the op tables.
const (
	block0    blockSet = 1 << 0
	block1    blockSet = 1 << 1
	block2    blockSet = 1 << 2
	block3    blockSet = 1 << 3
	allBlocks blockSet = 1<<64 - 1
)

func (s blockSet) has(id uint8) bool { return s>>id&1 != 0 }

// op is one kind of record of a resource manager.
type op struct {
	name     string // as rm_identify gives it
	gone     bool   // in an overlay: the version has no such op any more
	initName string // the same with the INIT_PAGE bit, if there is such a form

	// redo handles the registered blocks; nil if the op never has any.
	redo redoFunc

	// What is unusual about registered blocks, by id.
	afterImage blockSet // redo runs after an image was restored, too
	untouched  blockSet // registered to be locked only: neither redo nor a new pd_lsn
	newOK      blockSet // redo copes with a page that is still all zeros
	ownLSN     blockSet // redo sets pd_lsn itself, where at all
	hintLSN    blockSet // pd_lsn moves only in clusters that log hint bits (see Cluster)

	// hint, if set, tells for which of the op's records hintLSN counts.
	hint func(rec *xlog.Record) bool

	// touches reports the pages that a record changes without registering them,
	// and effect changes one of these. Both are nil for most ops.
	touches func(rec *xlog.Record, fn func(tag pg.BufferTag)) error
	effect  func(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error

	// vm tells which bits of the visibility map a heap record clears on a page of the map that
	// it registers: redo is not called for such a block. Where the page need not be registered,
	// touches and effect follow from vm (clearsVM).
	vm vmFunc
}

func (o *op) known() bool { return o.name != "" }

// nameOf gives the op's name for one of its records, or "" if there is no form of the op
// with the record's INIT_PAGE bit.
func (o *op) nameOf(rec *xlog.Record) string {
	if rec.InitPage() {
		return o.initName
	}
	return o.name
}

// ops are a resource manager's ops, at xlog.Record.Op() >> 4.
type ops [16]op

// rmgr is a resource manager.
type rmgr struct {
	name string // as pg_waldump prints it
	ops  ops
	mask func(page pg.Page, blkno pg.BlockNumber)

	// allInfo says that rm_identify looks at all of xl_info: the bits that are not the
	// resource manager's own make the op an unknown one.
	allInfo bool
}

// with gives a resource manager that has more's ops beside m's, or in their place, and not those that more
// says are gone. m stays as it is.
func (m *rmgr) with(more ops) *rmgr {
	merged := *m
	for i := range more {
		switch {
		case more[i].gone:
			merged.ops[i] = op{}
		case more[i].known():
			merged.ops[i] = more[i]
		}
	}
	return &merged
}

// rmgrs are a major version's resource managers, by their numbers.
type rmgrs [xlog.RmMax + 1]*rmgr

// with gives the resource managers of a version that differs from s's by more. s stays as
// it is. That is how a version is made from the one before it:
//
//	var rmgrs17 = rmgrs16.with(rmgrs{
//		xlog.RmHeap2: heap2Rmgr.with(ops{0x1: {name: "PRUNE_ON_ACCESS", redo: heap2PruneFreeze}}),
//	})
func (s *rmgrs) with(more rmgrs) *rmgrs {
	merged := *s
	for i, m := range more {
		if m != nil {
			merged[i] = m
		}
	}
	return &merged
}

// versions are the resource managers of each major version.
var versions = pg.PerVersion[*rmgrs]{14: rmgrs14, 15: &rmgrs15, 16: rmgrs16, 17: rmgrs17, 18: rmgrs18, 19: rmgrs19}

// rmgrOf finds a version's resource manager; nil if that is an extension's.
func rmgrOf(v *pg.Version, rm xlog.RmgrID) *rmgr {
	if rm > xlog.RmMax {
		return nil
	}
	return versions.Of(v)[rm]
}

// lookup finds a record's op; the op is nil if it is unknown, both are if the
// resource manager is.
func lookup(rec *xlog.Record) (*rmgr, *op) {
	m := rmgrOf(rec.V, rec.RmgrID)
	if m == nil {
		return nil, nil
	}
	o := &m.ops[rec.Op()>>4]
	if !o.known() {
		return m, nil
	}
	return m, o
}

// Name gives the names of a record's resource manager and op as pg_waldump prints them:
// "Heap", "INSERT+INIT". An op that does not exist is "UNKNOWN (f0)", a resource manager
// of an extension "custom200".
func Name(rec *xlog.Record) (rmgrName, opName string) {
	m, o := lookup(rec)
	if m == nil {
		kind := "unknown"
		if rec.RmgrID >= xlog.RmMinCustom {
			kind = "custom"
		}
		return fmt.Sprintf("%s%03d", kind, rec.RmgrID), unknownOp(rec)
	}
	if o != nil {
		if name := o.nameOf(rec); name != "" && !(m.allInfo && rec.Info&^0xF0 != 0) {
			return m.name, name
		}
	}
	return m.name, unknownOp(rec)
}

func unknownOp(rec *xlog.Record) string { return fmt.Sprintf("UNKNOWN (%x)", rec.Info&0xF0) }

// Mask blanks what may differ between the primary's page and the replayed one: it
// is the resource manager's rm_mask, by which wal_consistency_checking compares.
// It reports false for a resource manager whose pages are never checked.
func Mask(v *pg.Version, rm xlog.RmgrID, page pg.Page, blkno pg.BlockNumber) bool {
	m := rmgrOf(v, rm)
	if m == nil || m.mask == nil {
		return false
	}
	m.mask(page, blkno)
	return true
}
