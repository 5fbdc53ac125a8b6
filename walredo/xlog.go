package walredo

import (
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Resource managers whose records register no block, but for XLOG's page images.
// Their ops are here for their names; what they do to files, relation sizes and
// control data is not a matter of pages. Those that write SLRU pages are in slru.go.
var (
	xlogRmgr = rmgr{name: "XLOG", ops: ops{
		0x0: {name: "CHECKPOINT_SHUTDOWN"},
		0x1: {name: "CHECKPOINT_ONLINE"},
		0x2: {name: "NOOP"},
		0x3: {name: "NEXTOID"},
		0x4: {name: "SWITCH"},
		0x5: {name: "BACKUP_END"},
		0x6: {name: "PARAMETER_CHANGE"},
		0x7: {name: "RESTORE_POINT"},
		0x8: {name: "FPW_CHANGE"},
		0x9: {name: "END_OF_RECOVERY"},
		// A hint's image is left out if full_page_writes is off: then nothing happens.
		0xA: {name: "FPI_FOR_HINT", untouched: allBlocks},
		0xB: {name: "FPI", newOK: allBlocks, redo: xlogFPI},
		0xD: {name: "OVERWRITE_CONTRECORD"},
	}}
	dbaseRmgr = rmgr{name: "Database", ops: ops{
		0x0: {name: "CREATE_FILE_COPY"},
		0x1: {name: "CREATE_WAL_LOG"},
		0x2: {name: "DROP"},
	}}
	tblspcRmgr = rmgr{name: "Tablespace", ops: ops{
		0x0: {name: "CREATE"},
		0x1: {name: "DROP"},
	}}
	relmapRmgr = rmgr{name: "RelMap", ops: ops{
		0x0: {name: "UPDATE"},
	}}
	standbyRmgr = rmgr{name: "Standby", ops: ops{
		0x0: {name: "LOCK"},
		0x1: {name: "RUNNING_XACTS"},
		0x2: {name: "INVALIDATIONS"},
	}}
	replOriginRmgr = rmgr{name: "ReplicationOrigin", allInfo: true, ops: ops{
		0x0: {name: "SET"},
		0x1: {name: "DROP"},
	}}
	logicalMsgRmgr = rmgr{name: "LogicalMessage", ops: ops{
		0x0: {name: "MESSAGE"},
	}}
)

// xlogFPI is the part of xlog_redo for XLOG_FPI: only called for a block without an
// image to restore, which is an error.
func xlogFPI(_ pg.Page, _ *xlog.Record, blk *xlog.BlockRef) error {
	return corrupt("block %d has no full-page image", blk.ID)
}
