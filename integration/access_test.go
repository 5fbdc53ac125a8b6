package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"zenith/internal/pgtest"
)

// tlsSite makes a site with a port and a certificate.
func tlsSite(t *testing.T, initArgs ...string) *site {
	t.Helper()
	return newSite(t, append([]string{"--listen", freeAddress(t), "--tls"}, initArgs...)...)
}

// freeAddress gives a HOST:PORT of this machine at which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return addr
}

// overTLS gives the conninfo for the site's port, as a user whose password is known.
func (s *site) overTLS(user, password string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.work, "pageserver.addr"))
	if err != nil {
		s.t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(strings.TrimSpace(string(text)))
	if err != nil {
		s.t.Fatal(err)
	}
	// Without sslcert, libpq looks into the home directory, which the account of postgres may not enter.
	return fmt.Sprintf("host=%s port=%s user=%s password=%s sslmode=verify-full sslrootcert=%s/server.crt sslcert=/nonexistent", host, port, user, password, s.work)
}

// denied runs a client, which must fail with a text in what it says.
func (s *site) denied(want string, cmd *exec.Cmd) {
	s.t.Helper()
	if r := s.runCmd(cmd); r.code == 0 || !strings.Contains(r.err, want) {
		s.t.Errorf("%s: exit %d, %q, want %q", filepath.Base(cmd.Path), r.code, r.err, want)
	}
}

// TestAccessOverTLS: PostgreSQL's own clients, a stock standby and zenith itself work over TCP by tokens and passwords,
// over TLS, as far as their roles go; and no further.
func TestAccessOverTLS(t *testing.T) {
	t.Parallel()
	s := tlsSite(t, "--tenantid", tenantA)
	url := s.start("main")
	s.sql(url, "CREATE TABLE t AS SELECT 1 AS i")
	reader := s.overTLS("token", s.ok("token", "create", "--role", "reader", "--tenant", tenantA, "--expires", "1d", "--note", "standby"))
	writer := s.overTLS("token", s.ok("token", "create", "--role", "writer", "--tenant", tenantA))
	ann := s.overTLS("ann", s.ok("user", "create", "ann", "--role", "reader"))

	s.want(reader, "tenant_list", `["`+tenantA+`"]`)
	s.want(ann+" channel_binding=require", "tenant_list", `["`+tenantA+`"]`)
	s.denied("permission denied", clientCommand("psql", reader, "-Xc", "branch_create "+tenantA+" x main"))
	s.denied("no such tenant", clientCommand("psql", reader, "-Xc", "branch_list "+tenantB))
	s.denied("password authentication failed", clientCommand("psql", s.overTLS("ann", "wrong"), "-Xc", "status"))
	script := filepath.Join(t.TempDir(), "status.sql")
	if err := os.WriteFile(script, []byte("status;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := s.runCmd(clientCommand("pgbench", "-n", "-C", "-c", "4", "-t", "5", "-f", script, reader)); r.code != 0 {
		t.Errorf("pgbench: %s", r.err)
	}

	// A standby, whose backup a reader makes, and which follows as one.
	dir := filepath.Join(pgtest.TempDir(t), "data")
	branch := " options='-c zenith.branch=" + tenantA + "/main'"
	s.asOwner("pg_basebackup", "-d", reader+branch, "-D", dir, "-R", "-c", "fast")
	v := s.serveStandby(dir)
	v.follows(url)
	v.same(url, "SELECT sum(i) FROM t")

	// A slot that outlives its connection takes a writer.
	wal := pgtest.TempDir(t)
	s.denied("permission denied", clientCommand("pg_receivewal", "-d", reader+branch, "-D", wal, "--create-slot", "-S", "archive"))
	if r := s.runCmd(clientCommand("pg_receivewal", "-d", writer+branch, "-D", wal, "--create-slot", "-S", "archive")); r.code != 0 {
		t.Errorf("pg_receivewal: %s", r.err)
	}

	// zenith itself, from another work directory.
	far := &site{t: t, dir: t.TempDir()}
	far.work = filepath.Join(far.dir, ".zenith")
	far.ok("init", "--remote-pageserver", writer)
	far.ok("branch", "dev", "main")
	far.fails(12, "branch", "delete", "dev")
	far.fails(13, "tenant", "create", tenantB) // it does not exist for this token, and so cannot be made by it
	if out := far.ok("status"); strings.Contains(out, "password") || strings.Contains(out, "zenith_") {
		t.Errorf("status tells a secret: %s", out)
	}

	// A revoked token ends the standby's stream, and lets nobody in again.
	receiving := func(want string) func() bool {
		return func() bool {
			return s.sql(v.url, "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'") == want
		}
	}
	eventually(t, "the standby to stream", receiving("1"))
	lines := strings.Split(s.ok("token", "list"), "\n")
	of := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "standby") }) // its note
	if of < 0 {
		t.Fatalf("token list lacks the standby's token:\n%s", strings.Join(lines, "\n"))
	}
	id, _, _ := strings.Cut(lines[of], " ")
	s.ok("token", "revoke", id)
	eventually(t, "the standby's stream to end", receiving("0"))
	s.denied("password authentication failed", clientCommand("psql", reader, "-Xc", "status"))
	s.fails(13, "token", "revoke", id)

	log, err := os.ReadFile(filepath.Join(s.work, "pageserver.log"))
	if err != nil || !strings.Contains(string(log), "level=AUDIT") || strings.Contains(string(log), "zenith_") {
		t.Errorf("the log has no audit lines, or a token: %v", err)
	}
}

// TestPushOverTLS: a branch is pushed by a token; the other side's certificate is verified. After SIGHUP the other
// side has a new one.
func TestPushOverTLS(t *testing.T) {
	t.Parallel()
	a, b := newSite(t, "--tenantid", tenantA), tlsSite(t, "--tenantid", tenantB)
	a.sql(a.start("main"), "CREATE TABLE t AS SELECT 1 AS i")
	token := b.ok("token", "create", "--role", "admin")
	a.ok("remote", "add", "b", b.overTLS("token", token))
	if out := a.ok("remote", "list"); strings.Contains(out, token) {
		t.Errorf("remote list tells the token: %s", out)
	}
	a.push("main", "b")
	if got, want := b.ok("lsn", "main", "--tenantid", tenantA), a.lsn("main"); got != want {
		t.Errorf("there it ends at %s, here at %s", got, want)
	}

	// Another certificate takes the place of the first, which the remote names.
	c := tlsSite(t)
	old := filepath.Join(a.dir, "old.crt") // the account of a's page server reads it
	for _, f := range []struct{ from, to string }{
		{b.work + "/server.crt", old}, {c.work + "/server.crt", b.work + "/server.crt"}, {c.work + "/server.key", b.work + "/server.key"},
	} {
		text, err := os.ReadFile(f.from)
		if err == nil {
			err = os.WriteFile(f.to, text, 0o600) // what is there keeps its owner
		}
		if err == nil && f.to == old {
			err = os.Chmod(old, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	process, err := os.FindProcess(pidIn(t, filepath.Join(b.work, "pageserver.pid")))
	if err == nil {
		err = process.Signal(syscall.SIGHUP)
	}
	if err != nil {
		t.Fatal(err)
	}
	now := b.overTLS("token", token)
	eventually(t, "the new certificate", func() bool { return b.runCmd(clientCommand("psql", now, "-Xc", "status")).code == 0 })
	a.ok("remote", "add", "before", strings.Replace(now, b.work+"/server.crt", old, 1))
	if r := a.run("push", "main", "before"); r.code == 0 || !strings.Contains(r.err, "certificate") {
		t.Errorf("a push to a server of another certificate: exit %d, %s", r.code, r.err)
	}
	a.push("main", "b")
}
