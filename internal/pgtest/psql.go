package pgtest

import (
	"os/exec"
	"strings"
	"testing"

	"zenith/internal/pg"
)

// Client makes a command of one of PostgreSQL's client programs, which will connect to the server as its
// superuser, and to database postgres unless args say otherwise.
func (s *Server) Client(tb testing.TB, name string, args ...string) *exec.Cmd {
	tb.Helper()
	cmd := s.in.Command(tb, name, args...)
	cmd.Env = append(cmd.Env, "PGHOST="+s.Socket, "PGPORT=5432", "PGUSER=postgres", "PGDATABASE=postgres")
	return cmd
}

// psqlArgs make psql print bare values and stop at the first error.
var psqlArgs = []string{"-XAtq", "-v", "ON_ERROR_STOP=1"}

// Psql runs SQL and gives what it selects: one line for each row, fields separated by "|".
func (s *Server) Psql(tb testing.TB, sql string) string {
	tb.Helper()
	return strings.TrimSuffix(s.script(tb, sql), "\n")
}

// script runs a script through psql's stdin: so Owner needs no right to read the script's file.
func (s *Server) script(tb testing.TB, script string) string {
	tb.Helper()
	cmd := s.Client(tb, "psql", psqlArgs...)
	cmd.Stdin = strings.NewReader(script)
	return run(tb, cmd)
}

// Run runs a client program to its end and gives what it prints to stdout.
func (s *Server) Run(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	return run(tb, s.Client(tb, name, args...))
}

// LSN runs SQL that selects one LSN, and gives it.
func (s *Server) LSN(tb testing.TB, sql string) pg.LSN {
	tb.Helper()
	lsn, err := pg.ParseLSN(s.Psql(tb, sql))
	if err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	return lsn
}
