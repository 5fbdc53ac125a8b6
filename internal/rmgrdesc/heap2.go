package rmgrdesc

// heap2Descs are heap2_desc. Bit 0x80 is XLOG_HEAP_INIT_PAGE.
var heap2Descs = descs{
	0x1: fixed("xl_heap_prune", 8, "latestRemovedXid %d nredirected %d ndead %d", u32(0), u16(4), u16(6)),
	0x2: fixed("xl_heap_vacuum", 2, "nunused %d", u16(0)),
	0x3: fixed("xl_heap_freeze_page", 6, "cutoff xid %d ntuples %d", u32(0), u16(4)),
	0x4: fixed("xl_heap_visible", 5, "cutoff xid %d flags 0x%02X", u32(0), u8(4)),
	0x5: fixed("xl_heap_multi_insert", 4, "%d tuples flags 0x%02X", u16(2), u8(0)),
	0x6: fixed("xl_heap_lock_updated", 8, "off %d: xmax %d: flags 0x%02X %s", u16(4), u32(0), u8(7), infobits(6)),
	0x7: fixed("xl_heap_new_cid", 34, "rel %v; tid %d/%d; cmin: %d, cmax: %d, combo: %d",
		node(16), blkID(28), u16(32), u32(4), u32(8), u32(12)),
}
