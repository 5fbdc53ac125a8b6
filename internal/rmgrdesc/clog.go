package rmgrdesc

// clogDescs are clog_desc.
var clogDescs = descs{
	0x0: fixed("page number", 4, "page %d", i32(0)),
	0x1: fixed("xl_clog_truncate", 12, "page %d; oldestXact %d", i32(0), u32(4)),
}
