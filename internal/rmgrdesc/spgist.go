package rmgrdesc

// spgistRmgr is spg_desc.
var spgistRmgr = rmgr{
	name:     "SPGist",
	idMask:   0xF0,
	descMask: 0xF0,
	ops: map[uint8]op{
		0x10: {"ADD_LEAF", fixed("spgxlogAddLeaf", 10, "off: %d, headoff: %d, parentoff: %d, nodeI: %d%s%s",
			u16(2), u16(4), u16(6), u16(8), note(0, "newpage"), note(1, "nulls"))},
		0x20: {"MOVE_LEAFS", fixed("spgxlogMoveLeafs", 20, "nmoves: %d, parentoff: %d, nodeI: %d%s%s%s",
			u16(0), u16(6), u16(8), note(2, "newpage"), note(3, "replacedead"), note(4, "nulls"))},
		0x30: {"ADD_NODE", fixed("spgxlogAddNode", 20, "off: %d, newoff: %d, parentBlk: %d, parentoff: %d, nodeI: %d%s",
			u16(0), u16(2), i8(5), u16(6), u16(8), note(4, "newpage"))},
		0x40: {"SPLIT_TUPLE", fixed("spgxlogSplitTuple", 6, "prefixoff: %d, postfixoff: %d%s%s",
			u16(0), u16(2), note(4, "newpage"), note(5, "same"))},
		0x50: {"PICKSPLIT", fixed("spgxlogPickSplit", 28, "ndelete: %d, ninsert: %d, inneroff: %d, parentoff: %d, nodeI: %d%s%s%s",
			u16(2), u16(4), u16(8), u16(14), u16(16), note(12, "innerIsParent"), note(11, "nulls"), note(0, "isRootSplit"))},
		0x60: {"VACUUM_LEAF", fixed("spgxlogVacuumLeaf", 16, "ndead: %d, nplaceholder: %d, nmove: %d, nchain: %d",
			u16(0), u16(2), u16(4), u16(6))},
		0x70: {"VACUUM_ROOT", fixed("spgxlogVacuumRoot", 12, "ndelete: %d", u16(0))},
		0x80: {"VACUUM_REDIRECT", fixed("spgxlogVacuumRedirect", 8, "ntoplaceholder: %d, firstplaceholder: %d, newestredirectxid: %d",
			u16(0), u16(2), u32(4))},
	},
}

// note prints a bool as a remark in parentheses, or as nothing.
func note(off int, text string) field { return choice(off, " ("+text+")", "") }
