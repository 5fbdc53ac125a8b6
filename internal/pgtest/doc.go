// Package pgtest gives tests a throw-away PostgreSQL: initdb, start, psql, stop in
// any mode, cold copies, and stock recovery of a copy up to an LSN. That recovery is the
// oracle: what zenith makes of WAL must equal it.
//
//	srv := pgtest.Init(t, pgtest.Options{Config: []string{"autovacuum=off"}})
//	srv.Start(t)
//	srv.Psql(t, "CREATE TABLE t (i int)")
//	srv.Stop(t, pgtest.Fast)
//
// A server listens on a unix socket in a directory of its own and on no port, so any
// number of them may run at once. Directories and processes are gone at the end of the
// test. PostgreSQL refuses to run as root: if root runs the tests, its programs run as
// user postgres, to whom the directories belong.
//
// The installation is that of pg.Default, or of the major version that the flag -pgmajor names:
// the one in the directory that the flag -pgdistrib names, else the first that is found in
// well-known directories, by pg_config or in PATH. If there is none, the test fails, or is skipped
// under -short. Tests that want another major version ask for it by Installed or Majors;
// .ci/install-postgres brings them.
package pgtest
