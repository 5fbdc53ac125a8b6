package rmgrdesc

// gistDescs are gist_desc.
var gistDescs = descs{
	0x1: fixed("gistxlogDelete", 6, "delete: latestRemovedXid %d, nitems: %d", u32(0), u16(4)),
	0x2: fixed("gistxlogPageReuse", 24, "rel %v; blk %d; latestRemovedXid %s", node(0), u32(12), fullXid(16)),
	0x3: fixed("gistxlogPageSplit", 21, "page_split: splits to %d pages", u16(18)),
	0x6: fixed("gistxlogPageDelete", 10, "deleteXid %s; downlink %d", fullXid(0), u16(8)),
}
