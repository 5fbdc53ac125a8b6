package walredo_test

import (
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/walredo"
)

// The record of an INSERT into an empty table makes the table's first page.
func ExampleRedo() {
	table := pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1663, DBOID: 5, RelNumber: 16384}}
	rec := xlog.Record{
		V: pg.V15, StartLSN: 0x16B3700, EndLSN: 0x16B3748, XID: 731,
		RmgrID: xlog.RmHeap, Info: 0x80, // XLOG_HEAP_INSERT | XLOG_HEAP_INIT_PAGE
		MainData: []byte{1, 0, 0}, // xl_heap_insert: the line pointer's number, flags
		Blocks: []xlog.BlockRef{{
			Tag: table.Tag(0), WillInit: true, HasData: true,
			Data: append([]byte{1, 0, 0, 8, 24}, // xl_heap_header: one column, no column is null, 24 bytes of header
				0,          // padding before the columns
				7, 0, 0, 0, // an integer
			),
		}},
	}
	page := make(pg.Page, pg.BlockSize)
	if err := walredo.Redo(page, table.Tag(0), &rec); err != nil {
		fmt.Println(err)
		return
	}
	tuple, err := page.Item(1)
	if err != nil {
		fmt.Println(err)
		return
	}
	rmgr, op := walredo.Name(&rec)
	fmt.Printf("after %s/%s the page's LSN is %v, and the tuple ends in % x\n", rmgr, op, page.LSN(), tuple[24:])
	// Output: after Heap/INSERT+INIT the page's LSN is 0/16B3748, and the tuple ends in 07 00 00 00
}
