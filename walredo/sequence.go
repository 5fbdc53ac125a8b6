package walredo

// seqRmgr is Sequence, in commands/sequence.c.
var seqRmgr = rmgr{name: "Sequence", opMask: opMaskAll, ops: [16]op{
	0x0: {name: "LOG"},
}}
