package rmgrdesc

// brinDescs are brin_desc. Bit 0x80 is XLOG_BRIN_INIT_PAGE.
var brinDescs = descs{
	0x0: fixed("xl_brin_createidx", 6, "v%d pagesPerRange %d", u16(4), u32(0)),
	0x1: fixed("xl_brin_insert", 10, "heapBlk %d pagesPerRange %d offnum %d", u32(0), u32(4), u16(8)),
	0x2: fixed("xl_brin_update", 14, "heapBlk %d pagesPerRange %d old offnum %d, new offnum %d",
		u32(4), u32(8), u16(0), u16(12)),
	0x3: fixed("xl_brin_samepage_update", 2, "offnum %d", u16(0)),
	0x4: fixed("xl_brin_revmap_extend", 4, "targetBlk %d", u32(0)),
	0x5: fixed("xl_brin_desummarize", 10, "pagesPerRange %d, heapBlk %d, page offset %d", u32(0), u32(4), u16(8)),
}
