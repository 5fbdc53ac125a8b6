package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// rmgrs18 is PostgreSQL 18: VACUUM of a btree page resets its cycle id.
var rmgrs18 = rmgrs17.with(rmgrs{
	xlog.RmBtree: btreeRmgr.with(ops{0xC: {name: "VACUUM", redo: btreeVacuum18}}),
})

// btreeVacuum18 is btree_xlog_vacuum since 18.
func btreeVacuum18(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	if err := btreeVacuum(page, rec, blk); err != nil {
		return err
	}
	binary.LittleEndian.PutUint16(page[btCycleIDAt:], 0)
	return nil
}
