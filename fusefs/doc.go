// Package fusefs shows states of a database as PostgreSQL data directories.
//
// Three mounts are made here, and only this package knows go-fuse:
//
//   - ReadOnly: one state (a Tree), for ever the same. The kernel may cache all of
//     it, also the names that do not exist, so a warm read never reaches us.
//   - All: every tenant, branch, timeline and state below one directory. States are
//     resolved when they are looked up; below them everything is as in ReadOnly.
//   - Work: a working tree. Over a state, the base, lie private files: what postgres
//     writes is read back from them at once, and everything else comes from the base.
//
// # The working tree
//
// Which file is treated how is said by one table, in kind.go. In short:
//
//	relations, SLRUs    private blocks over the base's; thrown away at the end, for
//	                    WAL has it all and the next base shows it
//	WAL segments        real files in the branch's WAL directory; fsync is real, and
//	                    tells the branch. Or pg_wal is not served at all, but bound: see
//	                    boundwal.go
//	configuration       stored in the branch when synced or closed
//	what WAL has not    unlogged relations, sequences, free space maps, statistics, slots: kept
//	                    for the next mount if postgres was stopped cleanly
//	the rest            runtime files, thrown away
//
// The names are held in memory, filled directory by directory from the base when
// first used, so a rename is a change of maps and an open file that was unlinked
// goes on to work. The mount is the only way to the tree: the kernel may believe
// what it cached, and its directory locks order creations, renames and removals.
//
// The kernel keeps what is written in its cache and sends it when it likes (writeback):
// then it knows each file's size and asks for nothing, and a load of a table is a few
// large writes. It also sends it before close and fsync return, and before the mount
// ends. What we may have to refuse is read and written past that cache: pg_control,
// configuration (kind.direct). WAL comes when it is synced, or when we ask for it
// (Mount.SendWAL). Nobody misses the rest after a crash, for then the private files
// are dropped anyhow.
//
// What the base shows and WAL describes may only be changed by a running postgres:
// tools that write a stopped data directory (pg_checksums --enable, pg_resetwal)
// would write what the branch never learns. They are refused, see guard.go.
//
// # Locks
//
// worktree.mu guards the names, file.mu a file's opens, overlay.mu what is private
// of a file's contents. None is held while the base or a callback is called, save
// overlay.wmu, which orders the writers of one file.
package fusefs
