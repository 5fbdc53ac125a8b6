package rmgrdesc

// replOriginDescs are replorigin_desc.
var replOriginDescs = descs{
	0x0: fixed("xl_replorigin_set", 11, "set %d; lsn %v; force: %s", u16(8), lsn(0), choice(10, "1", "0")),
	0x1: fixed("xl_replorigin_drop", 2, "drop %d", u16(0)),
}
