package rmgrdesc

// brinRmgr is brin_desc. Bit 0x80 is XLOG_BRIN_INIT_PAGE.
var brinRmgr = rmgr{
	name:     "BRIN",
	idMask:   0xF0,
	descMask: 0x70,
	ops: map[uint8]op{
		0x00: {"CREATE_INDEX", fixed("xl_brin_createidx", 6, "v%d pagesPerRange %d", u16(4), u32(0))},
		0x10: {"INSERT", fixed("xl_brin_insert", 10, "heapBlk %d pagesPerRange %d offnum %d", u32(0), u32(4), u16(8))},
		0x20: {"UPDATE", fixed("xl_brin_update", 14, "heapBlk %d pagesPerRange %d old offnum %d, new offnum %d",
			u32(4), u32(8), u16(0), u16(12))},
		0x30: {"SAMEPAGE_UPDATE", fixed("xl_brin_samepage_update", 2, "offnum %d", u16(0))},
		0x40: {"REVMAP_EXTEND", fixed("xl_brin_revmap_extend", 4, "targetBlk %d", u32(0))},
		0x50: {"DESUMMARIZE", fixed("xl_brin_desummarize", 10, "pagesPerRange %d, heapBlk %d, page offset %d", u32(0), u32(4), u16(8))},
		0x90: {"INSERT+INIT", nil},
		0xA0: {"UPDATE+INIT", nil},
	},
}
