package rmgrdesc

// commitTsDescs are commit_ts_desc.
var commitTsDescs = descs{
	0x0: fixed("page number", 4, "%d", i32(0)),
	0x1: fixed("xl_commit_ts_truncate", 8, "pageno %d, oldestXid %d", i32(0), u32(4)),
}
