// Package fusefs shows states of a database as PostgreSQL data directories, through FUSE. Only
// this package knows go-fuse. It makes four kinds of mounts:
//
//   - ReadOnly: one state (a tree.Tree), for ever the same. The kernel may cache all of
//     it, also that a name does not exist, so a warm read never reaches this process.
//   - All: every tenant, branch, timeline and state below one directory. States are
//     resolved when they are looked up; below them everything is as in ReadOnly.
//   - Work: a working tree for the one server that writes a branch. Private files lie over a
//     state, the base: what postgres writes is read back from them at once, and everything
//     else comes from the base.
//   - Scratch: a working tree over any state, without a branch: all that is written is thrown
//     away when the mount ends.
//
// # The working tree
//
// One table, in kind.go, says how each file is treated. In short:
//
//	relations, SLRUs    private blocks over the base's; thrown away when the mount ends, for
//	                    WAL describes them and the next base shows them
//	WAL segments        real files in the branch's WAL directory; fsync makes them durable
//	                    and tells the branch. Or pg_wal is not served at all, but bound: see
//	                    boundwal.go
//	configuration       stored in the branch when it is synced or closed
//	slots, archiving    replication slots, archive_status, what logical decoding keeps: saved when
//	                    synced, renamed or closed, for the next mount after any crash
//	not in WAL          unlogged relations, sequences, free space maps, statistics: kept
//	                    for the next mount if postgres was stopped cleanly
//	the rest            files of a running server; thrown away when the mount ends
//
// The names are held in memory, filled directory by directory from the base when
// first used, so a rename is a change of maps and an open file that was unlinked
// goes on to work. The mount is the only way to the tree: the kernel may believe
// what it cached, and its directory locks order creations, renames and removals.
//
// The kernel keeps what is written in its cache and sends it when it likes (writeback):
// then it knows each file's size and asks for nothing, and a load of a table is a few
// large writes. It also sends it before close and fsync return, and before the mount
// ends. A write that may have to be refused goes past that cache: those to pg_control and
// configuration (kind.direct). WAL comes when it is synced, or when it is asked for
// (Mount.SendWAL). The rest may be lost in a crash, for then the private files are dropped
// anyhow.
//
// What the base shows and WAL describes may only be changed by a running postgres:
// tools that write a stopped data directory (pg_checksums --enable, pg_resetwal)
// would write what the branch never learns. They are refused, see guard.go.
//
// # Words
//
//	base      the state under a working tree, which shows where nothing was written
//	private   of a file or a block: it was written on this mount and hides the base's
//	whole     of a file: nothing of the base shows in it any more
//	kept      of a file: one mount of a branch leaves it for the next (keep.go)
//	saved     of a file: it is durable as last synced, for all mounts to come (saved.go)
//	bound     of pg_wal: an ordinary directory, bound into the mount (boundwal.go)
//	spare     a segment of zeros, ready for when postgres makes its next (spare.go)
//	visible   of a segment: pg_wal shows it when the mount begins
//	hidden    of a segment: postgres has removed or recycled it; the branch still has it
//
// # Locks
//
// worktree.mu guards the names, file.mu a file's opens, overlay.mu what is private
// of a file's contents. None is held while the base or a callback is called, save
// overlay.wmu, which orders the writers of one file.
package fusefs
