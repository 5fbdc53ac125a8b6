package rmgrdesc

// clogRmgr is clog_desc.
var clogRmgr = rmgr{
	name:     "CLOG",
	idMask:   0xF0,
	descMask: 0xF0,
	ops: map[uint8]op{
		0x00: {"ZEROPAGE", fixed("page number", 4, "page %d", i32(0))},
		0x10: {"TRUNCATE", fixed("xl_clog_truncate", 12, "page %d; oldestXact %d", i32(0), u32(4))},
	},
}
