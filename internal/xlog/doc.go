// Package xlog turns WAL bytes into records and back.
//
// A WAL segment is a sequence of 8192-byte pages, each with a header (24 bytes; 40 on
// the first page of a segment). Records follow each other 8-byte aligned and run on
// over page ends:
//
//	XLogRecord (24): tot_len u32 | xid u32 | prev u64 | info u8 | rmid u8 | 2 pad | crc u32
//	block headers:   id u8 | fork_flags u8 | data_len u16 [| image header][| RelFileNode 12] | blkno u32
//	                 ... [253 origin u16] [252 toplevel xid u32] [255 len u8 | 254 len u32 main data]
//	payload:         per block: image, then data; main data last
//
// It is a leaf: no I/O but through Source, no store, no context. What a record means
// to a page is package walredo's.
package xlog
