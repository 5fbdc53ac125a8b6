// Package ingest turns what PostgreSQL writes into history: WAL records, and once, at
// the beginning, a data directory.
//
// An Ingester follows the WAL of one timeline. Each record is decoded once and changes,
// in this order:
//
//	what its resource manager's handler knows     sizes, drops, databases, files
//	the pages that it names                       all forks but free space maps
//	the pages that it touches without naming them visibility maps, SLRUs
//	the control data                              control.State
//
// The handlers are in one table, handlers.go. A record that has none there, or is of a
// resource manager that nobody knows, still adds to the pages that it names: whether they
// can be rebuilt is asked when they are read.
//
// Changes are collected in batches. The WAL of a batch is made durable before the batch
// is published, so what can be read is never ahead of what a crash leaves. A batch is
// all or nothing, and what was not published is decoded again from the WAL.
//
// # What is not kept
//
// Free space maps, which PostgreSQL does not log and repairs by itself; temporary
// relations; the main forks of unlogged relations, of which a crash leaves nothing either.
//
// # What stops a timeline
//
// WAL that is damaged, that does not parse, or that leaves out changes
// (wal_level=minimal). Everything before stays readable, the WAL stays as it is, and the
// error says where.
package ingest
