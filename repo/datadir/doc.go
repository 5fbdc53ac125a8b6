// Package datadir composes a state of a timeline as a PostgreSQL data directory.
//
// A View is made of a repo.Snapshot and shows it as a tree.Tree. Nothing is copied: a file is
// read from history when somebody reads it. Files that history does not have are made up, always
// in the same way, so that a View of an LSN never changes:
//
//	directories             those of initdb, empty where their contents belong to a
//	                        running server
//	relations, SLRUs        from their pages; main forks of unlogged relations are
//	                        their init forks, as after a crash
//	global/pg_control       says that the cluster was shut down here
//	pg_wal                  the segment, or two, with the WAL up to the LSN and behind
//	                        it the checkpoint of that shutdown
//	pg_tblspc/OID           a directory, where the server has a link to one
//	pg_logical/replorigin_checkpoint  if there are replication origins
//
// Free space maps, statistics, temporary files, replication slots and whatever else
// belongs to a running server is absent. Stock postgres starts on a copy at once, without
// recovery. A BaseBackup is the same state for a server that is to follow the timeline.
package datadir
