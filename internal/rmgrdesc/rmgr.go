package rmgrdesc

import (
	"fmt"

	"zenith/internal/xlog"
)

// descFunc writes what an operation's record says. An error is about a damaged
// record, and written into the line.
type descFunc func(w *writer, rec *xlog.Record) error

// op is one operation of a resource manager.
type op struct {
	name string
	desc descFunc // nil: the name says it all
}

// rmgr is a resource manager's rm_identify and rm_desc.
type rmgr struct {
	name string
	// The bits of info that select an operation's name and its description: they
	// differ where a bit is a variant (INIT_PAGE of heap and brin).
	idMask, descMask uint8
	ops              map[uint8]op
	other            descFunc // for what ops does not know; may be nil
}

// rmgrs is the order of access/rmgrlist.h.
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
	xlog.RmHash:       &hashRmgr,
	xlog.RmGin:        &ginRmgr,
	xlog.RmGist:       &gistRmgr,
	xlog.RmSeq:        &seqRmgr,
	xlog.RmSPGist:     &spgistRmgr,
	xlog.RmBRIN:       &brinRmgr,
	xlog.RmCommitTs:   &commitTsRmgr,
	xlog.RmReplOrigin: &replOriginRmgr,
	xlog.RmGeneric:    &genericRmgr,
	xlog.RmLogicalMsg: &logicalMsgRmgr,
}

// Identify gives the names that pg_waldump prints for a record's resource manager
// and operation: "Heap", "INSERT+INIT". An operation that does not exist is
// "UNKNOWN (f0)".
func Identify(id xlog.RmgrID, info uint8) (rm, op string) {
	r := lookup(id)
	if o, ok := r.ops[info&r.idMask]; ok {
		return r.name, o.name
	}
	return r.name, fmt.Sprintf("UNKNOWN (%x)", info&^xlogInfoMask)
}

// xlogInfoMask is XLR_INFO_MASK: the bits of info that are not the rmgr's.
const xlogInfoMask = 0x0F

// describer gives the function for an operation, or nil.
func (r *rmgr) describer(info uint8) descFunc {
	if o, ok := r.ops[info&r.descMask]; ok {
		return o.desc
	}
	return r.other
}

// lookup finds a resource manager. For one that is not PostgreSQL's own it makes
// what pg_waldump makes for those of extensions.
func lookup(id xlog.RmgrID) *rmgr {
	if int(id) < len(rmgrs) {
		return rmgrs[id]
	}
	kind := "custom"
	if id < xlog.RmMinCustom {
		kind = "unknown"
	}
	return &rmgr{name: fmt.Sprintf("%s%03d", kind, id), other: describeRmgrID}
}

// describeRmgrID is pg_waldump's default_desc.
func describeRmgrID(w *writer, rec *xlog.Record) error {
	w.printf("rmid: %d", rec.RmgrID)
	return nil
}
