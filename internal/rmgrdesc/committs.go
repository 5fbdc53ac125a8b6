package rmgrdesc

// commitTsRmgr is commit_ts_desc.
var commitTsRmgr = rmgr{
	name:     "CommitTs",
	idMask:   0xFF, // commit_ts_identify looks at all of info
	descMask: 0xF0,
	ops: map[uint8]op{
		0x00: {"ZEROPAGE", fixed("page number", 4, "%d", i32(0))},
		0x10: {"TRUNCATE", fixed("xl_commit_ts_truncate", 8, "pageno %d, oldestXid %d", i32(0), u32(4))},
	},
}
