package integration

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// gatewaySite makes a site with a gateway on a port that the system chooses.
func gatewaySite(t *testing.T, startArgs ...string) *site {
	t.Helper()
	s := emptySite(t)
	s.ok("init", "--pg-distrib", pgDistrib)
	s.ok(append([]string{"start", "--gateway", "127.0.0.1:0"}, startArgs...)...)
	return s
}

// TestGateway: every state is reached by its name through one port: by psql, with a notice that says which state it is, by
// pg_dump in parallel, by a driver, by postgres_fdw in a query over two states; what cannot be reached is told.
func TestGateway(t *testing.T) {
	t.Parallel()
	s := gatewaySite(t)
	main := s.ok("uri")
	s.sql(main, "CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i")
	then := s.lsn("main")
	s.ok("branch", "feature/x", "main")
	s.sql(main, "DELETE FROM t WHERE i > 10", "CREATE EXTENSION postgres_fdw")
	dev := s.ok("uri", "feature/x")
	s.sql(dev, "INSERT INTO t VALUES (0)")
	s.want(main, "SELECT count(*) FROM t", "10")
	s.want(dev, "SELECT count(*), current_database() FROM t", "1001|postgres")

	past := s.ok("uri", "main@"+then, "--tcp")
	r := s.runCmd(exec.Command(program("psql"), past, "-XAtc", "DELETE FROM t", "-c", "SELECT count(*) FROM t"))
	notice := regexp.MustCompile(`NOTICE:  postgres@main@0_[0-9A-F]+ is main at ` + regexp.QuoteMeta(then) + `, after the commit of .*Z; what you write is thrown away`)
	if r.code != 0 || r.out != "DELETE 1000\n0\n" || !notice.MatchString(r.err) {
		t.Errorf("psql on a state: exit %d, %q, %q", r.code, r.out, r.err)
	}
	if out := s.ok("psql", "main@"+then, "--", "-XAtc", "SELECT count(*) FROM t"); out != "0" {
		t.Errorf("zenith psql on the same server says %q", out)
	}

	dump := filepath.Join(s.dir, "dump")
	s.tool("pg_dump", "-d", database(dev, "postgres@feature/x"), "-Fd", "-j2", "-f", dump)
	if list := s.tool("pg_restore", "-l", dump); !strings.Contains(list, "TABLE DATA public t") {
		t.Errorf("pg_dump has %s", list)
	}

	at, err := pgx.ParseConfig(s.ok("uri", "feature/x", "--tcp"))
	if err != nil {
		t.Fatal(err)
	}
	s.sql(main, "CREATE SERVER past FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '"+port(at)+"', dbname '"+at.Database+"')",
		"CREATE USER MAPPING FOR postgres SERVER past OPTIONS (user 'postgres', password '"+at.Password+"')",
		"CREATE SCHEMA past", "IMPORT FOREIGN SCHEMA public LIMIT TO (t) FROM SERVER past INTO past")
	s.want(main, "SELECT count(*) FROM past.t p LEFT JOIN public.t n USING (i) WHERE n.i IS NULL", "991")

	tryDriver(t, at)
	for name, want := range map[string]string{
		"postgres@nosuch":    "3D000",
		"nosuch@feature/x":   "3D000", // said by postgres
		"postgres@-10d":      "58P01",
		"postgres@main@junk": "22023",
	} {
		wrong := at.Copy()
		wrong.Database = name
		if state := sqlState(connectOnce(t, wrong)); state != want {
			t.Errorf("database %s: got SQLSTATE %q, want %s", name, state, want)
		}
	}
	wrong := at.Copy()
	wrong.Password = ""
	if err := connectOnce(t, wrong); err == nil {
		t.Error("a client over TCP is let in without a password")
	}
}

func port(c *pgx.ConnConfig) string { return strconv.Itoa(int(c.Port)) }

// tryDriver has pgx use a state, cancel a query, and give the key of a cancel request.
func tryDriver(t *testing.T, at *pgx.ConnConfig) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	asleep := make(chan error, 1)
	other, err := pgx.ConnectConfig(ctx, at)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.WithoutCancel(ctx))
	pid := conn.PgConn().PID()
	go func() {
		_, err := conn.Exec(ctx, "SELECT pg_sleep(600)")
		asleep <- err
	}()
	eventually(t, "the query to run", func() bool {
		var n int
		err := other.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND query LIKE '%pg_sleep%'", pid).Scan(&n)
		return err == nil && n == 1
	})
	if err := conn.PgConn().CancelRequest(ctx); err != nil {
		t.Errorf("send a cancel request: %v", err)
	}
	if err := <-asleep; sqlState(err) != "57014" {
		t.Errorf("a cancelled query ends with %v", err)
	}
}

// connectOnce connects and disconnects.
func connectOnce(t *testing.T, at *pgx.ConnConfig) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, at)
	if err == nil {
		err = conn.Close(ctx)
	}
	return err
}

// TestGatewayLife: whose postgres is stopped is cut, and finds the new one at the same address; a crash of the page server and one of
// postgres lose nothing that was committed through the gateway.
func TestGatewayLife(t *testing.T) {
	t.Parallel()
	s := emptySite(t)
	s.ok("init", "--pg-distrib", pgDistrib)
	s.ok("start", "--gateway", "127.0.0.1:0")
	uri := s.ok("uri")
	s.sql(uri, "CREATE TABLE t (i int)", "INSERT INTO t VALUES (1)")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, uri)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "INSERT INTO t VALUES (2)"); err != nil {
		t.Fatal(err)
	}
	s.ok("pg", "stop", "main")
	if _, err := conn.Exec(ctx, "SELECT 1"); err == nil {
		t.Error("a client outlives its postgres")
	}
	s.want(uri, "SELECT count(*) FROM t", "2")
	s.ok("stop")
	s.ok("start", "--gateway", "127.0.0.1:0")
	s.want(s.ok("uri"), "SELECT count(*) FROM t", "2")
}
