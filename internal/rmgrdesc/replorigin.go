package rmgrdesc

// replOriginRmgr is replorigin_desc.
var replOriginRmgr = rmgr{
	name:     "ReplicationOrigin",
	idMask:   0xFF, // replorigin_identify looks at all of info
	descMask: 0xF0,
	ops: map[uint8]op{
		0x00: {"SET", fixed("xl_replorigin_set", 11, "set %d; lsn %v; force: %s", u16(8), lsn(0), choice(10, "1", "0"))},
		0x10: {"DROP", fixed("xl_replorigin_drop", 2, "drop %d", u16(0))},
	},
}
