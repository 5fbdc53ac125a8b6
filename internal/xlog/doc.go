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
// What the main data say depends on the record's resource manager and operation, and on
// the major version of the server that wrote it. The C structs (xl_heap_insert, ...) have
// their types and ParseX functions here, in one file per resource manager, for all who
// need them: redo, ingest, control data, the dump. A parser makes sure that the bytes are
// there, not that they make sense to a page. Arrays and byte slices in what it returns
// point into the record.
//
// It is a leaf: no I/O but through Source, no store, no context. What a record means
// to a page is package walredo's.
package xlog
