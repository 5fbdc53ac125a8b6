package walredo

// Resource managers whose records write pages of SLRUs, none of which they name.
var (
	clogRmgr = rmgr{name: "CLOG", opMask: opMaskAll, ops: [16]op{
		0x0: {name: "ZEROPAGE"},
		0x1: {name: "TRUNCATE"},
	}}
	commitTsRmgr = rmgr{name: "CommitTs", opMask: opMaskAll, ops: [16]op{
		0x0: {name: "ZEROPAGE"},
		0x1: {name: "TRUNCATE"},
	}}
	multixactRmgr = rmgr{name: "MultiXact", opMask: opMaskAll, ops: [16]op{
		0x0: {name: "ZERO_OFF_PAGE"},
		0x1: {name: "ZERO_MEM_PAGE"},
		0x2: {name: "CREATE_ID"},
		0x3: {name: "TRUNCATE_ID"},
	}}
)
