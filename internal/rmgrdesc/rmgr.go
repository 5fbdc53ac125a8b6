package rmgrdesc

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// descFunc writes what a record's body says. An error is about a damaged record; it
// becomes part of the line.
type descFunc func(w *writer, rec *xlog.Record) error

// descs are a resource manager's rm_desc as a table: the functions of its operations, at
// xlog.Record.Op() >> 4. There is none for an operation whose name says it all.
type descs [16]descFunc

// rmgrs are the resource managers in the order of access/rmgrlist.h.
type rmgrs [xlog.RmMax + 1]*descs

// versions are the resource managers of each major version.
var versions = pg.PerVersion[*rmgrs]{14: rmgrs14, 15: &rmgrs15, 16: rmgrs16, 17: rmgrs17, 18: rmgrs18, 19: rmgrs19}

// with gives the resource managers of a version that differs from m's by more. m stays as it is.
func (m *rmgrs) with(more rmgrs) *rmgrs {
	merged := *m
	for i, d := range more {
		if d != nil {
			merged[i] = d
		}
	}
	return &merged
}

// with gives a resource manager's descriptions with more's in place of d's. d stays as it is.
func (d *descs) with(more descs) *descs {
	merged := *d
	for i, f := range more {
		if f != nil {
			merged[i] = f
		}
	}
	return &merged
}

// gone is the function, in an overlay, of an operation that the version does not have any more.
func gone(*writer, *xlog.Record) error { return nil }

var rmgrs15 = rmgrs{
	xlog.RmXLOG:       &xlogDescs,
	xlog.RmXact:       &xactDescs,
	xlog.RmSmgr:       &smgrDescs,
	xlog.RmCLOG:       &clogDescs,
	xlog.RmDbase:      &dbaseDescs,
	xlog.RmTblspc:     &tblspcDescs,
	xlog.RmMultiXact:  &multixactDescs,
	xlog.RmRelMap:     &relmapDescs,
	xlog.RmStandby:    &standbyDescs,
	xlog.RmHeap2:      &heap2Descs,
	xlog.RmHeap:       &heapDescs,
	xlog.RmBtree:      &btreeDescs,
	xlog.RmHash:       &hashDescs,
	xlog.RmGin:        &ginDescs,
	xlog.RmGist:       &gistDescs,
	xlog.RmSeq:        &seqDescs,
	xlog.RmSPGist:     &spgistDescs,
	xlog.RmBRIN:       &brinDescs,
	xlog.RmCommitTs:   &commitTsDescs,
	xlog.RmReplOrigin: &replOriginDescs,
	xlog.RmGeneric:    &genericDescs,
	xlog.RmLogicalMsg: &logicalMsgDescs,
}

// describer gives the function for a record, or nil. The record of an extension's resource
// manager gets what pg_waldump makes of it.
func describer(rec *xlog.Record) descFunc {
	if rec.RmgrID > xlog.RmMax {
		return describeRmgrID
	}
	return versions.Of(rec.V)[rec.RmgrID][rec.Op()>>4]
}

// describeRmgrID is pg_waldump's default_desc.
func describeRmgrID(w *writer, rec *xlog.Record) error {
	w.printf("rmid: %d", rec.RmgrID)
	return nil
}
