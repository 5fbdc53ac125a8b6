package rmgrdesc

// seqRmgr is seq_desc.
var seqRmgr = rmgr{
	name:     "Sequence",
	idMask:   0xF0,
	descMask: 0xF0,
	ops: map[uint8]op{
		0x00: {"LOG", fixed("xl_seq_rec", 12, "rel %v", node(0))},
	},
}
