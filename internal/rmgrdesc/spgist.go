package rmgrdesc

// spgistDescs are spg_desc.
var spgistDescs = descs{
	0x1: fixed("spgxlogAddLeaf", 10, "off: %d, headoff: %d, parentoff: %d, nodeI: %d%s%s",
		u16(2), u16(4), u16(6), u16(8), note(0, "newpage"), note(1, "nulls")),
	0x2: fixed("spgxlogMoveLeafs", 20, "nmoves: %d, parentoff: %d, nodeI: %d%s%s%s",
		u16(0), u16(6), u16(8), note(2, "newpage"), note(3, "replacedead"), note(4, "nulls")),
	0x3: fixed("spgxlogAddNode", 20, "off: %d, newoff: %d, parentBlk: %d, parentoff: %d, nodeI: %d%s",
		u16(0), u16(2), i8(5), u16(6), u16(8), note(4, "newpage")),
	0x4: fixed("spgxlogSplitTuple", 6, "prefixoff: %d, postfixoff: %d%s%s",
		u16(0), u16(2), note(4, "newpage"), note(5, "same")),
	0x5: fixed("spgxlogPickSplit", 28, "ndelete: %d, ninsert: %d, inneroff: %d, parentoff: %d, nodeI: %d%s%s%s",
		u16(2), u16(4), u16(8), u16(14), u16(16), note(12, "innerIsParent"), note(11, "nulls"), note(0, "isRootSplit")),
	0x6: fixed("spgxlogVacuumLeaf", 16, "ndead: %d, nplaceholder: %d, nmove: %d, nchain: %d",
		u16(0), u16(2), u16(4), u16(6)),
	0x7: fixed("spgxlogVacuumRoot", 12, "ndelete: %d", u16(0)),
	0x8: fixed("spgxlogVacuumRedirect", 8, "ntoplaceholder: %d, firstplaceholder: %d, newestredirectxid: %d",
		u16(0), u16(2), u32(4)),
}

// note prints a bool as a remark in parentheses, or as nothing.
func note(off int, text string) field { return choice(off, " ("+text+")", "") }
