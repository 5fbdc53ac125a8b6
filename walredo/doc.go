// Package walredo brings pages forward through WAL: (page, tag, record) -> page.
// It is pure: no I/O, no clock, no goroutine, no state between calls.
//
// # What a record does to a page
//
// Most changes are to blocks that the record registers. Redo finds the block
// reference by its tag, restores the full-page image if replay would, else calls
// the op's redo function for that block alone. No record of PostgreSQL 15 needs the
// content of one block to redo another, so a page can be rebuilt by itself from its
// own chain of records.
//
// Some records also change pages that they do not name: heap records clear bits of
// the visibility map, commits write pg_xact and pg_commit_ts, multixact records
// write their SLRUs, a truncation cuts the last page of the visibility map. Touches
// lists these pages and Redo knows what to do with them.
//
// The result equals what stock PostgreSQL's replay makes of the same page and
// record, byte for byte, pd_lsn included. The caller starts from a consistent base
// (each page as of one LSN), so pd_lsn is never compared to decide whether a record
// is applied already, save where replay itself makes the content depend on it
// (the visibility map in Heap2/VISIBLE).
//
// # The tables
//
// There is one file per resource manager (or family of its ops), each with a table
// of its ops: name, redo function, unnamed effects. The tables list what is
// supported: an op that is not there gives ErrUnsupported. To add one:
//
//  1. write its body's struct and parser in package xlog, for whoever reads the record,
//     and its text in package rmgrdesc;
//  2. write func heapThing(page, rec, blk) in the rmgr's file, parse first, then act;
//  3. add it to the ops table, with block sets for what is unusual (see op);
//  4. add a statement that logs it to testdata/<case>.sql and run make testdata:
//     TestEveryOp fails for an op that no fixture reaches.
//
// Each major version of PostgreSQL has a set of these tables (versions), and a record is
// looked up in its own version's (xlog.Record.V). The tables in the files are PostgreSQL
// 15's (v15.go). Another version's are made of them by overlay (rmgr.with, rmgrs.with): its
// ops that are new or do something else, in place of 15's. What differs in a body alone is
// its parser's business, and needs no op of its own. No function compares versions.
//
// A redo function is called with a page whose header is sane (or of any content if
// the block is WillInit: then it must call page.Init first), and must not trust
// anything else: bytes that make no sense give ErrCorrupt, never a panic.
//
// # Other modules
//
// Pages, tags and records are types of zenith's internal packages, so another module cannot
// call Redo by itself. It can give Redo to repo.Open, which calls it.
package walredo
