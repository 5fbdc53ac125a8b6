package walredo

// heap2Rmgr is Heap2, in access/heap/heapam.c: the ops for which Heap has no room.
var heap2Rmgr = rmgr{name: "Heap2", opMask: opMaskFlag, ops: [16]op{
	0x0: {name: "REWRITE"},
	0x1: {name: "PRUNE"},
	0x2: {name: "VACUUM"},
	0x3: {name: "FREEZE_PAGE"},
	0x4: {name: "VISIBLE"},
	0x5: {name: "MULTI_INSERT", initName: "MULTI_INSERT+INIT"},
	0x6: {name: "LOCK_UPDATED"},
	0x7: {name: "NEW_CID"},
}}
