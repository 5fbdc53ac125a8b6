package walredo

// xactRmgr's commits and aborts write pg_xact and pg_commit_ts.
var xactRmgr = rmgr{name: "Transaction", opMask: opMaskFlag, ops: [16]op{
	0x0: {name: "COMMIT"},
	0x1: {name: "PREPARE"},
	0x2: {name: "ABORT"},
	0x3: {name: "COMMIT_PREPARED"},
	0x4: {name: "ABORT_PREPARED"},
	0x5: {name: "ASSIGNMENT"},
	0x6: {name: "INVALIDATION"},
}}
