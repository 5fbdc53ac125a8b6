package rmgrdesc

// relmapRmgr is relmap_desc.
var relmapRmgr = rmgr{
	name:     "RelMap",
	idMask:   0xF0,
	descMask: 0xF0,
	ops: map[uint8]op{
		0x00: {"UPDATE", fixed("xl_relmap_update", 12, "database %d tablespace %d size %d", u32(0), u32(4), i32(8))},
	},
}
