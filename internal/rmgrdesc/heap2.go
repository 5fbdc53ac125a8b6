package rmgrdesc

// heap2Rmgr is heap2_desc. Bit 0x80 is XLOG_HEAP_INIT_PAGE.
var heap2Rmgr = rmgr{
	name:     "Heap2",
	idMask:   0xF0,
	descMask: 0x70,
	ops: map[uint8]op{
		0x00: {"REWRITE", nil},
		0x10: {"PRUNE", fixed("xl_heap_prune", 8, "latestRemovedXid %d nredirected %d ndead %d", u32(0), u16(4), u16(6))},
		0x20: {"VACUUM", fixed("xl_heap_vacuum", 2, "nunused %d", u16(0))},
		0x30: {"FREEZE_PAGE", fixed("xl_heap_freeze_page", 6, "cutoff xid %d ntuples %d", u32(0), u16(4))},
		0x40: {"VISIBLE", fixed("xl_heap_visible", 5, "cutoff xid %d flags 0x%02X", u32(0), u8(4))},
		0x50: {"MULTI_INSERT", fixed("xl_heap_multi_insert", 4, "%d tuples flags 0x%02X", u16(2), u8(0))},
		0x60: {"LOCK_UPDATED", fixed("xl_heap_lock_updated", 8, "off %d: xmax %d: flags 0x%02X %s", u16(4), u32(0), u8(7), infobits(6))},
		0x70: {"NEW_CID", fixed("xl_heap_new_cid", 34, "rel %v; tid %d/%d; cmin: %d, cmax: %d, combo: %d",
			node(16), blkID(28), u16(32), u32(4), u32(8), u32(12))},
		0xD0: {"MULTI_INSERT+INIT", nil},
	},
}
