// Package pgtest gives tests a throw-away PostgreSQL 15: initdb, start, psql, stop in
// any mode, cold copies, and stock recovery of a copy up to an LSN, which is the oracle
// of all that zenith makes of WAL.
//
//	srv := pgtest.Init(t, pgtest.Options{Config: []string{"autovacuum=off"}})
//	srv.Start(t)
//	srv.Psql(t, "CREATE TABLE t (i int)")
//	srv.Stop(t, pgtest.Fast)
//
// A server listens on a unix socket in a directory of its own and on no port, so any
// number of them may run at once. Everything lies in temporary directories, which go
// with the test, as do the processes. PostgreSQL refuses to run as root: then its
// programs run as user postgres, to whom the directories belong.
//
// The installation is that of the flag -pgdistrib, else the first PostgreSQL 15 of the
// well-known directories, of pg_config and of PATH. A missing one fails the test, or
// skips it under -short.
package pgtest
