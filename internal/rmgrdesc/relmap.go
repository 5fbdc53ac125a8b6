package rmgrdesc

// relmapDescs are relmap_desc.
var relmapDescs = descs{
	0x0: fixed("xl_relmap_update", 12, "database %d tablespace %d size %d", u32(0), u32(4), i32(8)),
}
