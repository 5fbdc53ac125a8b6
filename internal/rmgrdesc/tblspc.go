package rmgrdesc

// tblspcRmgr is tblspc_desc.
var tblspcRmgr = rmgr{
	name:     "Tablespace",
	idMask:   0xF0,
	descMask: 0xF0,
	ops: map[uint8]op{
		0x00: {"CREATE", fixed("xl_tblspc_create_rec", 4, "%d \"%s\"", u32(0), text(4))},
		0x10: {"DROP", fixed("xl_tblspc_drop_rec", 4, "%d", u32(0))},
	},
}

// text prints the NUL-terminated text at an offset.
func text(off int) field {
	return func(s cstruct) any { return cstring(s[off:]) }
}
