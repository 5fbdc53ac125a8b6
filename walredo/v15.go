package walredo

import "zenith/internal/xlog"

// rmgrs15 is PostgreSQL 15: every file's table is its resource manager as of this version.
var rmgrs15 = rmgrs{
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
