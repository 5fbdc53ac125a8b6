package walredo

// heapRmgr is Heap, in access/heap/heapam.c.
var heapRmgr = rmgr{name: "Heap", opMask: opMaskFlag, ops: [16]op{
	0x0: {name: "INSERT", initName: "INSERT+INIT"},
	0x1: {name: "DELETE"},
	0x2: {name: "UPDATE", initName: "UPDATE+INIT"},
	0x3: {name: "TRUNCATE"},
	0x4: {name: "HOT_UPDATE", initName: "HOT_UPDATE+INIT"},
	0x5: {name: "HEAP_CONFIRM"},
	0x6: {name: "LOCK"},
	0x7: {name: "INPLACE"},
}}
