package rmgrdesc

// gistRmgr is gist_desc.
var gistRmgr = rmgr{
	name:     "Gist",
	idMask:   0xF0,
	descMask: 0xF0,
	ops: map[uint8]op{
		0x00: {"PAGE_UPDATE", nil},
		0x10: {"DELETE", fixed("gistxlogDelete", 6, "delete: latestRemovedXid %d, nitems: %d", u32(0), u16(4))},
		0x20: {"PAGE_REUSE", fixed("gistxlogPageReuse", 24, "rel %v; blk %d; latestRemovedXid %s", node(0), u32(12), fullXid(16))},
		0x30: {"PAGE_SPLIT", fixed("gistxlogPageSplit", 21, "page_split: splits to %d pages", u16(18))},
		0x60: {"PAGE_DELETE", fixed("gistxlogPageDelete", 10, "deleteXid %s; downlink %d", fullXid(0), u16(8))},
		0x70: {"ASSIGN_LSN", nil},
	},
}
