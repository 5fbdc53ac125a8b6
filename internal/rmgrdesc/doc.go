// Package rmgrdesc says in words what a WAL record does: the text of pg_waldump.
//
// It is named after src/backend/access/rmgrdesc, where PostgreSQL keeps the same
// knowledge. One line per record:
//
//	rmgr: Heap        len (rec/tot):     54/    54, tx:        731, lsn: 0/01550000, prev 0/0154FFA8,
//	desc: INSERT off 1 flags 0x00, blkref #0: rel 1663/5/1249 blk 0
//	      |      |               |
//	      op     op.desc         block references, " FPW" behind those with a page image
//
// (on one line, without the break). The names of resource managers and operations are
// walredo's, and package xlog parses the records' bodies: what replay takes from a record
// is what the dump shows. Each resource manager is one table in a file of its name:
// operation -> function that prints what the record's body says.
//
// Invariants: for records that PostgreSQL 15 wrote, the text is pg_waldump's, byte for
// byte (times in the local zone, as there). For others - cut short, unknown resource
// manager, unknown operation - there is a line too, and never a panic.
package rmgrdesc
