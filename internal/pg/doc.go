// Package pg holds PostgreSQL's words and the bytes of its data files: LSNs and
// OIDs, the names of relation forks and blocks, pages and their items, the control
// file, the SLRU arithmetic, and the path at which each of them lies in a data
// directory.
//
// What is not the same in all major versions hangs on a Version: V15 is PostgreSQL
// 15, and another major is one more such literal. A constant or a function that is
// no Version's is the same from PostgreSQL 14 on.
//
// It is a leaf: it does no I/O and imports nothing of zenith. Names are those of
// PostgreSQL's headers, cut to Go. What lies in WAL files is in package xlog.
package pg
