// Package repo is the history of one tenant: every version of every page of its
// timelines, addressed by LSN, and their WAL.
//
// # The model
//
// A timeline has WAL and, derived from it, versions. Ingest writes through a Writer: which
// pages a record changes, sizes of relations, files, databases, and the control data
// (State). A batch becomes visible at once, by Commit, which moves the head (LSN of the end
// of the last record, and its start) forward. A Snapshot is everything at one record
// boundary; it never changes. A page of a snapshot is rebuilt from its newest image or
// initialising record and the records after it, by a RedoFunc.
//
// A branch is a row: its parent and an LSN. What it does not have, its ancestors have, up
// to the branch points: its lineage.
//
// # Where things are
//
//	Writer --Commit--> open window --seal--> sealed windows --flush--> store
//	                   (memory: what the tail of the WAL changed)      (badger)
//	above the flushed LSN ------------------------------------|------ up to it
//
// Windows are sealed at a size, and flushed in order by the repository. A flush writes, for
// each page, one value that says where in the WAL its records are (a chunk). Long chains
// get images. Then comes Sync, then the row with the flushed LSN: after a crash that is the
// head, and ingest goes on from there. What a flush that was cut short has left is beyond
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
//	|   0x10 | (none)                                 |  a State               |
//	|   0x20 | spc 4 | db 4                           |  a database directory  |
//	|   0x30 | path ... | 00                          |  a file                |
//	|   0x40 | spc 4 | db 4 | rel 4 | fork 1          |  sizes of a fork       |
//	|   0x50 | spc 4 | db 4 | rel 4 | fork 1 | block 4 |  image or chunk        |
//
//	| 0x01 | the layout's version    | 0x02 | timeline 4 | its row    | 0x03 | timeline 4 | its flushed LSN |
//	| 0x04 | timeline 4 | its horizon             | 0x05 | timeline 4 | LSN 8 | a lease                |
//
// The timeline's number is small and counts up, so that a descendant's is above its
// ancestors'. To read page P on timeline t at L, seek P ^t ^L: the entry found is the newest
// one of t, or else of a timeline older than t. If that is no ancestor, or it is one but the
// entry is above the branch point, seek on to the next ancestor. So the depth of a branch
// costs nothing while its ancestors stood still. lineage.go has this, and nobody else.
//
// The LSN of a version is the end of the record that made it; a chunk's, that of its first
// record. Values of pages are drawn in chunk.go. A segment of an SLRU is a relation of
// tablespace 0 (see pg.SLRU).
//
// # Forgetting
//
// Collect forgets what is below a timeline's horizon, for all points but those that are
// pinned: branch points, leases, and what Pin keeps. Of each page it keeps an image at the
// horizon and at each pinned point, in the place of the chunk that had the records (a base:
// see chunk.go), and what is newer; of the rest, the newest version at each of these points.
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
// # Other modules
//
// Another module can open a repository, make timelines, branches and files, and look at
// states (see the example), and take in WAL by package ingest. What names pages and
// relations has types of zenith's internal packages; it reads these through package datadir.
package repo
