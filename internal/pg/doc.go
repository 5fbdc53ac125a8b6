// Package pg holds PostgreSQL's words and the bytes of its data files: LSNs and
// OIDs, the names of relation forks and blocks, pages and their items, the control
// file, the SLRU arithmetic, and the path at which each of them lies in a data
// directory.
//
// It is a leaf: it does no I/O and imports nothing of zenith. Everything here is
// PostgreSQL 15's; names are those of its headers, cut to Go. What lies in WAL
// files is in package xlog.
package pg
