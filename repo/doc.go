// Package repo is the history of one tenant: every version of every page of its
// timelines, addressed by LSN, and their WAL.
//
// # The model
//
// A timeline has WAL and, derived from it, versions. Ingest writes through a Writer: which
// pages a record changes, sizes of relations, files, databases, and the control data
// (package control). A batch becomes visible at once, by Commit, which moves the head (LSN of the
// end of the last record, and its start) forward. A Snapshot is everything at one record
// boundary; it never changes. A page of a snapshot is rebuilt from its newest image or
// initialising record and the records after it, by a RedoFunc.
//
// A branch is a row: its parent and an LSN. What it does not have, its ancestors have, up
// to the branch points: its lineage.
//
// # Where things are
//
//	Writer --Commit--> open window --seal--> sealed windows --flush--> store
//	                   (memory: what the end of the WAL changed)       (badger)
//	above the flushed LSN ------------------------------------|------ up to it
//
// Windows are sealed at a size, and flushed in order by the repository. A flush writes, for
// each page, one value that says where in the WAL its records are (a chunk). Long chains
// get images. Then comes Sync, then the row with the flushed LSN: after a crash that is the
// head, and ingest goes on from there. What an interrupted flush has left is beyond
// the flushed LSN; nobody sees it, and the next flush of that WAL removes it.
//
// The memory that windows take is bounded by Memory: a Writer that begins waits while too
// much is not flushed.
//
// # The keys
//
// All numbers are big endian. A versioned key is an object and a version; the object comes
// first, so that the versions of a page by all timelines lie together, and timelines before
// LSNs, both inverted:
//
//	| kind 1 | object ...                             | ^timeline 4 | ^LSN 8 |
//	|   0x10 | (none)                                 |  a control.State       |
//	|   0x20 | spc 4 | db 4                           |  a database directory  |
//	|   0x30 | path ... | 00                          |  a file                |
//	|   0x40 | spc 4 | db 4 | rel 4 | fork 1          |  sizes of a fork       |
//	|   0x50 | spc 4 | db 4 | rel 4 | fork 1 | block 4 |  image or chunk        |
//	|   0x60 | spc 4 | db 4 | rel 4 | fork 1 | block 4 |  a note: foreign.go    |
//	|   0x70 | (none)                                 |  commits: commits.go   |
//	|   0x71 | (none)                                 |  what runs: commits.go |
//
//	| 0x01 | the layout's version    | 0x02 | timeline 4 | its row    | 0x03 | timeline 4 | its flushed LSN |
//	| 0x04 | timeline 4 | its horizon             | 0x05 | timeline 4 | LSN 8 | a lease                |
//	| 0x06 | name ... | a tag                        | 0x07 | timeline 4 | from where on it has commits   |
//	| 0x08 | timeline 4 | bytes of its versions      |
//
// The timeline's number is small and counts up, so that a descendant's is above its
// ancestors'. To read page P on timeline t at L, seek P ^t ^L: the entry found is the newest
// one of t, or else of a timeline older than t. If that is no ancestor, or it is one but the
// entry is above the branch point, seek on to the next ancestor. So the depth of a branch
// costs nothing while its ancestors stood still. The cursor in lineage.go is the only reader of
// this order.
//
// The LSN of a version is the end of the record that made it; a chunk's, that of its first
// record. Values of pages are drawn in chunk.go. A segment of an SLRU is a relation of
// tablespace 0 (see pg.SLRU).
//
// # Forgetting
//
// Collect forgets what is below a timeline's horizon, for all points but those that are
// pinned: branch points, tags, leases, and what Pin keeps. Of each page it keeps an image at the
// horizon and at each pinned point, in the place of the chunk that had the records (a trimmed
// chunk: see chunk.go), and what is newer; of the rest, the newest version at each of these points.
// Then WAL that no kept version points at, and no point shows, is removed. See collect.go
// for what readers may see meanwhile.
//
// # Invariants
//
//   - Up to a timeline's flushed LSN the store has all of its history; a reader takes
//     nothing above it from there but files, each of which is complete in itself.
//   - The head is at a record boundary, only moves forward, and only when all up to it can
//     be read. (LSN, start of the last record) move as one.
//   - What is at an LSN that was the head once never changes.
//   - A timeline exists if its row says live; rows are durable before anyone is told.
//   - Every value has a checksum, of its key too; a chain with a missing part is an error, not a page.
//
// # Reading order
//
//  1. key.go, meta.go: what is in the store. repository.go, timeline.go: what is in memory.
//  2. Writing: writer.go, window.go, writer_merge.go; then flush.go, flush_window.go, flush_page.go.
//     chunk.go and relstate.go draw the values that they write; bulk.go writes past memory.
//  3. Reading: lineage.go and probe.go find versions, chain.go rebuilds a page from them, snapshot.go
//     offers both to callers; timeline_read.go finds the record boundaries that snapshots stand on.
//  4. Branches: branch.go, label.go, succession.go, tag.go, graft.go, ownfile.go.
//  5. Forgetting: horizon.go says what is kept; collect.go, collect_scan.go and collect_page.go delete
//     the rest, collect_wal.go the WAL.
//  6. timeline_wal.go, packer.go: what this package does with the WAL's files (package segment).
//     verify*.go: the store checked against all of the above.
//
// # Glossary
//
// Each word has this meaning in code and comments, and no other:
//
//	window    what a stretch of WAL changed, in memory. Open: a Writer adds to it. Sealed: it waits to be flushed
//	turn      the right to change a timeline's open window or to write past it; one goroutine has it
//	point     a record boundary of a timeline, and the control data there
//	member    a timeline as seen from a descendant, up to an LSN (its cap): nothing above the cap counts
//	lineage   a timeline at an LSN and its ancestors: members, the youngest first
//	sight     where a member's history was at one moment: up to a limit in the store, above it in windows
//	graft     a branch that another repository made, made here with the same id, branch point and files
//	link      a record, or an image, in a page's history
//	chain     the links that a page at one LSN is rebuilt from, and their base
//	base      the page that a chain's records are applied to: an image, or zeros
//	image     a whole page as of an LSN, as a version
//	chunk     a value that says where the records of a page are, up to some hundred of them
//	trimmed   a chunk in which a collection put images in the place of the records that were forgotten
//	foreign   of a page: a record of an extension's resource manager, which redo does not know, has changed it
//	note      what is known of a foreign page at an LSN, besides its records
//	cut       a truncation or drop of a relation: versions of the blocks behind it are dead at and below its LSN
//	run       the links of one page in one window between two cuts
//	tail      the end of a page's chain in the store, which a flush remembers for the next one
//	horizon   the LSN of a timeline below which points are forgotten unless they are kept
//	kept      of a point: it can be read, since it is at or above the horizon or something pins it
//	needed    of a version: a kept point at or below the horizon cannot be read without it
//	pin       a reason to keep a point: a branch begins there, a tag, a lease, or somebody who called Pin
//	label     the name of a timeline's branch and what users say of it
//	place     a branch name, as what timelines have one after the other: see succession.go
//	hold      a promise that a horizon stays where it is (Hold), or a segment the file it is (HoldWAL)
//	gone      of a timeline: it was deleted, or never finished, and the store may still have versions of it
//	stamp     to append to a value the checksum of its key and itself
package repo
