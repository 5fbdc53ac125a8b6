package rmgrdesc

// tblspcDescs are tblspc_desc.
var tblspcDescs = descs{
	0x0: fixed("xl_tblspc_create_rec", 4, "%d \"%s\"", u32(0), text(4)),
	0x1: fixed("xl_tblspc_drop_rec", 4, "%d", u32(0)),
}

// text prints the NUL-terminated text at an offset.
func text(off int) field {
	return func(s cstruct) any { return cstring(s[off:]) }
}
