// Package receiver brings WAL and base backups in from running PostgreSQL servers, over
// the physical replication protocol. It is the door to pgx's pgconn.
//
// A Receiver follows one server into one timeline:
//
//	server --CopyData--> segment files --fdatasync--> Synced (ingest) --> LastLSN
//	   ^                     | write        | flush                        | apply
//	   +------ status replies, whenever one of the three has moved --------+
//
// What is reported as flushed is on our disk, so a server that has the receiver in
// synchronous_standby_names has every acknowledged commit here. After any break the stream
// begins again at the end of the timeline's last complete record. What comes is compared
// with that record first: WAL of another history is refused before a byte is written.
//
// Where a server was promoted, its WAL goes on on another timeline of PostgreSQL's. If the branch has nothing
// of the old one beyond that place, it goes over, too, and follows on; else the branch has WAL that the
// server does not have, and the receiver says where they parted.
//
// BaseBackup fetches a data directory, to be recovered up to the backup's end by stock
// postgres before it is imported.
package receiver
