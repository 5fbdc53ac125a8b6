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
	initName string // the same with the INIT_PAGE bit, if there is such a form

	// redo handles the registered blocks; nil if the op never has any.
	redo redoFunc

	// What is unusual about registered blocks, by id.
	afterImage blockSet // redo runs after an image was restored, too
	untouched  blockSet // registered to be locked only: neither redo nor a new pd_lsn
	newOK      blockSet // redo copes with a page that is still all zeros
	ownLSN     blockSet // redo sets pd_lsn itself, where at all
	hintLSN    blockSet // pd_lsn moves only in clusters that log hint bits (see Cluster)

	// touches reports the pages that a record changes without registering them,
	// and effect changes one of these. Both are nil for most ops.
	touches func(rec *xlog.Record, fn func(tag pg.BufferTag)) error
	effect  func(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error
}

func (o *op) known() bool { return o.name != "" }

// rmgr is a resource manager: its ops, by the upper half of xl_info.
type rmgr struct {
	name   string // as pg_waldump prints it
	opMask uint8  // bits of xl_info that select the op: 0xF0, or 0x70 where 0x80 is a flag
	ops    [16]op // at (info & opMask) >> 4
	mask   func(page pg.Page, blkno pg.BlockNumber)
}

// The bits of xl_info that select an op, and the flag of heap and brin records that
// the page is made anew (XLOG_HEAP_INIT_PAGE, XLOG_BRIN_INIT_PAGE).
const (
	opMaskAll  = 0xF0
	opMaskFlag = 0x70
	infoInit   = 0x80
)

// rmgrs is everything that is supported.
var rmgrs = [xlog.RmMax + 1]*rmgr{
	xlog.RmXLOG:       &xlogRmgr,
	xlog.RmXact:       &xactRmgr,
	xlog.RmSmgr:       &smgrRmgr,
	xlog.RmCLOG:       &clogRmgr,
	xlog.RmDbase:      &dbaseRmgr,
	xlog.RmTblspc:     &tblspcRmgr,
	xlog.RmMultiXact:  &multixactRmgr,
	xlog.RmRelMap:     &relmapRmgr,
	xlog.RmStandby:    &standbyRmgr,
	xlog.RmHeap2:      &heap2Rmgr,
	xlog.RmHeap:       &heapRmgr,
	xlog.RmBtree:      &btreeRmgr,
	xlog.RmGin:        &ginRmgr,
	xlog.RmGist:       &gistRmgr,
	xlog.RmHash:       &hashRmgr,
	xlog.RmSeq:        &seqRmgr,
	xlog.RmSPGist:     &spgistRmgr,
	xlog.RmBRIN:       &brinRmgr,
	xlog.RmCommitTs:   &commitTsRmgr,
	xlog.RmReplOrigin: &replOriginRmgr,
	xlog.RmGeneric:    &genericRmgr,
	xlog.RmLogicalMsg: &logicalMsgRmgr,
}

// lookup finds a record's op; the op is nil if it is unknown, both are if the
// resource manager is.
func lookup(rm xlog.RmgrID, info uint8) (*rmgr, *op) {
	if int(rm) >= len(rmgrs) || rmgrs[rm] == nil {
		return nil, nil
	}
	m := rmgrs[rm]
	o := &m.ops[info&m.opMask>>4]
	if !o.known() {
		return m, nil
	}
	return m, o
}

// Name gives the names of a record's resource manager and op, as pg_waldump prints them.
func Name(rm xlog.RmgrID, info uint8) (rmgrName, opName string) {
	info &= 0xF0
	m, o := lookup(rm, info)
	switch {
	case m == nil && rm >= xlog.RmMinCustom:
		return fmt.Sprintf("custom%03d", rm), fmt.Sprintf("UNKNOWN (%x)", info)
	case m == nil:
		return fmt.Sprintf("unknown%03d", rm), fmt.Sprintf("UNKNOWN (%x)", info)
	case o == nil:
		return m.name, fmt.Sprintf("UNKNOWN (%x)", info)
	case m.opMask != opMaskFlag || info&infoInit == 0 || rm == xlog.RmXact: // whose flag means something else
		return m.name, o.name
	case o.initName != "":
		return m.name, o.initName
	default:
		return m.name, fmt.Sprintf("UNKNOWN (%x)", info)
	}
}

// Mask blanks what may differ between the primary's page and the replayed one: it
// is the resource manager's rm_mask, by which wal_consistency_checking compares.
// It reports false for a resource manager whose pages are never checked.
func Mask(rm xlog.RmgrID, page pg.Page, blkno pg.BlockNumber) bool {
	if int(rm) >= len(rmgrs) || rmgrs[rm] == nil || rmgrs[rm].mask == nil {
		return false
	}
	rmgrs[rm].mask(page, blkno)
	return true
}
