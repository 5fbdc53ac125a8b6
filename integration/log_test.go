package integration

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// logSteps are transactions, and what the log says of each.
var logSteps = []struct{ sql, line string }{
	{"CREATE TABLE orders(id int PRIMARY KEY, amount int)", "postgres: CREATE TABLE orders"},
	{"CREATE TABLE users(name text)", "postgres: CREATE TABLE users"},
	{"INSERT INTO orders SELECT g, g FROM generate_series(1, 2000) g", "postgres.orders +2000"},
	{"UPDATE orders SET amount = 0 WHERE id BETWEEN 100 AND 150", "postgres.orders ~51"},
	{"DROP TABLE users", "postgres: DROP TABLE users"},
	{"CREATE VIEW v AS SELECT 1 AS one", "postgres: CREATE VIEW v"},
	{"ALTER TABLE orders ADD COLUMN note text", "postgres: ALTER TABLE orders"},
	{"ALTER TABLE orders RENAME TO \"Odd name\"", "postgres: ALTER TABLE Odd name"},
	{"ALTER TABLE \"Odd name\" RENAME TO orders", "postgres: ALTER TABLE orders"},
	{"VACUUM FULL orders", "postgres: rewrite of TABLE orders"},
	{"CREATE INDEX byamount ON orders(amount)", "postgres: CREATE INDEX byamount"},
	{"BEGIN; DELETE FROM orders WHERE id <= 9; TRUNCATE orders; COMMIT", "postgres: TRUNCATE TABLE orders; orders -9"},
	{"CREATE SCHEMA s; CREATE TABLE s.t(i int)", "postgres: CREATE TABLE s.t"},
	{"DROP VIEW v", "postgres: DROP VIEW v"},
	{"CREATE DATABASE app", "CREATE DATABASE app"},
	{"INSERT INTO orders VALUES (1, 1)", "postgres.orders +1"},
}

// TestLog: log, show and find say what transactions did, by the names of that time, on main and on a branch, after a
// restart too, and the points that they print are those from which one gets it back.
func TestLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	url := s.start("main", "--set", "autovacuum=off")
	for _, st := range logSteps {
		s.sql(url, strings.Split(st.sql, "; ")...)
	}
	// An abort is not flushed by itself: the commit behind it does that.
	s.sql(url, "BEGIN", "INSERT INTO orders VALUES (2, 2)", "ROLLBACK", "INSERT INTO orders VALUES (3, 3)")
	check := func(when string) {
		t.Helper()
		lines := strings.Split(strings.TrimSpace(s.ok("log", "main", "--stat")), "\n")[1:]
		at := 0
		for i := range logSteps {
			want := logSteps[len(logSteps)-1-i].line
			for at < len(lines) && !strings.HasSuffix(lines[at], "  "+want) {
				at++
			}
			if at == len(lines) {
				t.Fatalf("%s: no line for %q, or not in order, in\n%s", when, want, strings.Join(lines, "\n"))
			}
			at++
		}
		if out := s.ok("log", "main", "-n", "1"); !strings.HasSuffix(strings.TrimSpace(out), "postgres.orders +1") {
			t.Errorf("%s: the last one: %s", when, out)
		}
		if out := s.ok("log", "--all", "-n", "2"); !strings.HasSuffix(strings.TrimSpace(out), "aborted: postgres.orders +1") {
			t.Errorf("%s: the last two of all: %s", when, out)
		}
		if out := s.ok("log", "-t", "orders", "--grep", "~51"); strings.Count(out, "postgres.orders") != 1 {
			t.Errorf("%s: updates of orders: %s", when, out)
		}
	}
	check("at once")
	for _, c := range []struct{ what, table, state, query, want string }{
		{"dropped", "users", "last", "SELECT count(*) FROM users", "0"},
		{"truncated", "public.orders", "last", "SELECT count(*) FROM orders", "2000"},
		{"rewritten", "postgres.public.orders", "last", "SELECT count(*) FROM orders", "2000"},
		{"created", "v", "first", "SELECT one FROM v", "1"},
		{"altered", `"Odd name"`, "last", "SELECT count(*) FROM orders", "2000"},
	} {
		out := s.ok("find", "main", c.what, c.table)
		m := regexp.MustCompile(c.state + ` state with it: +(main@\S+)`).FindStringSubmatch(out)
		if m == nil {
			t.Errorf("find %s %s: %s", c.what, c.table, out)
			continue
		}
		if got := s.ok("pg", "exec", m[1], "--", program("psql"), "-XAtc", c.query); strings.TrimSpace(got) != c.want {
			t.Errorf("%s: %s gave %s, want %s", m[1], c.query, got, c.want)
		}
	}
	s.fails(13, "find", "main", "dropped", "orders")
	s.fails(2, "find", "main", "eaten", "orders")
	s.fails(2, "log", "--grep", "(")
	s.fails(2, "show", "0")

	var big struct {
		XID    uint32
		LSN    string
		Before string
	}
	if err := json.Unmarshal([]byte(s.ok("find", "main", "big", "--rows", "2000", "-n", "1", "-o", "json")), &big); err != nil {
		t.Fatal(err)
	}
	show := s.ok("show", fmt.Sprint(big.XID))
	if other := s.ok("show", "main@"+big.LSN); show != other || !strings.Contains(show, "+2000") && !strings.Contains(show, "orders") {
		t.Errorf("by xid:\n%sby LSN:\n%s", show, other)
	}
	s.ok("branch", "early", "main@"+big.LSN)
	if out := s.ok("log", "early"); strings.Contains(out, "~51") && strings.Contains(out, "DROP VIEW") || !strings.Contains(out, "CREATE TABLE users") {
		t.Errorf("of a branch: %s", out)
	}
	s.ok("stop")
	s.ok("start")
	check("after a restart")
}
