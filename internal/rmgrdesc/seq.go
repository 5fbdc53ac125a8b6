package rmgrdesc

// seqDescs are seq_desc.
var seqDescs = descs{
	0x0: fixed("xl_seq_rec", 12, "rel %v", node(0)),
}
