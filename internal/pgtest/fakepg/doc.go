// Package fakepg is a PostgreSQL installation for tests that start, stop and lose servers but
// need no database: bin/postgres, bin/initdb and bin/pg_ctl, which are the test binary itself
// under other names. A test binary that uses it begins so:
//
//	func TestMain(m *testing.M) {
//		fakepg.Main()
//		os.Exit(m.Run())
//	}
//
// The fake postgres does what a caller can see of a postmaster: it changes into its data
// directory, writes postmaster.pid, which it removes when it ends well, answers startup packets,
// and ends as the real one does by SIGTERM (when no client is connected), SIGINT and SIGQUIT.
// It writes no WAL and no data. Settings that begin with "fake.", of the command line, of its
// configuration file, or of a file fake.conf in its data directory, make it misbehave:
//
//	fake.start=fatal:MESSAGE   write MESSAGE as a FATAL line and exit with status 1
//	fake.start=silent          exit with status 1, without a word
//	fake.start=hang            never listen
//	fake.start=early           be in recovery, and refuse clients with 57P03, until there is a file
//	                           fake.recovered in the data directory
//	fake.start=refuse          refuse all clients with 28000, as by pg_hba.conf
//	fake.stop=ignore           take no notice of SIGTERM and SIGINT
//	fake.stop=never            and of SIGQUIT
//	fake.stop=bad              exit with status 1 when it is to stop
//
// The fake initdb unpacks the stored cluster of package pgtest; with a file fail-initdb in the
// installation it fails, with the file's content as its last words. bin/postgres --version
// prints the installation's file version, if there is one.
package fakepg
