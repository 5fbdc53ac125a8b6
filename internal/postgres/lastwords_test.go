package postgres

import "testing"

// TestReason: why a server ended is found in its log, whatever else stands there.
func TestReason(t *testing.T) {
	const prefix = "2026-01-01 00:00:00.000 UTC [1] "
	for _, c := range []struct{ name, log, want string }{
		{"a fatal error of a child, with a hint", prefix + `LOG:  starting PostgreSQL
` + prefix + `FATAL:  maximum number of prepared transactions reached
` + prefix + `HINT:  Increase max_prepared_transactions (currently 0).
` + prefix + `LOG:  startup process (PID 2) exited with exit code 1
` + prefix + `LOG:  database system is shut down
`, "maximum number of prepared transactions reached; hint: Increase max_prepared_transactions (currently 0)."},
		{"a client was refused", prefix + `FATAL:  could not open file "x": No such file or directory
` + prefix + `FATAL:  the database system is starting up
` + prefix + `LOG:  database system is shut down
`, `could not open file "x": No such file or directory`},
		{"the last of two", prefix + "FATAL:  one\n" + prefix + "FATAL:  two\n" + prefix + "ERROR:  three\n", "two"},
		{"a panic", prefix + "PANIC:  could not locate a valid checkpoint record\n" + prefix + "FATAL:  terminating\n",
			"could not locate a valid checkpoint record"},
		{"another log_line_prefix", "FATAL:  lock file \"postmaster.pid\" already exists\nHINT:  Is another postmaster running?\n",
			"lock file \"postmaster.pid\" already exists; hint: Is another postmaster running?"},
		{"a vague error", prefix + `LOG:  unrecognized configuration parameter "x" in file "/d/postgresql.conf" line 3
` + prefix + `FATAL:  configuration file "/d/postgresql.conf" contains errors
`, `configuration file "/d/postgresql.conf" contains errors; unrecognized configuration parameter "x" in file "/d/postgresql.conf" line 3`},
		{"another language", "eins\nzwei\n\ndrei\nvier\n", "zwei; drei; vier"},
		{"nothing", "\n", ""},
	} {
		if got := reason([]byte(c.log)); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}
