package walredo

// smgrRmgr's truncations cut the last page of a visibility map.
var smgrRmgr = rmgr{name: "Storage", opMask: opMaskAll, ops: [16]op{
	0x1: {name: "CREATE"},
	0x2: {name: "TRUNCATE"},
}}
