package integration

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
)

// attempt is a client's try to be let in over TLS.
type attempt struct {
	name           string
	user, password string
	root           string // file of the certificate that it trusts
	want           string // of what it says if it is refused; "": it is let in
}

// certificateError is what clients say, each in words of its own, of a certificate that they do not trust, in lower case.
const certificateError = "cert"

// driver is a program or library by which clients connect. It gives what came of each attempt: "" if it was let in,
// else what it said.
type driver struct {
	name string
	try  func(t *testing.T, attempts []attempt) []string
}

// TestDrivers has every kind of client connect over TLS by a password, by a token, by each that does not let in any
// more, and to a server whose certificate it does not trust.
func TestDrivers(t *testing.T) {
	t.Parallel()
	s := tlsSite(t, "--tenantid", tenantA)
	foreign := filepath.Join(t.TempDir(), "foreign.crt")
	selfSigned(t, foreign, os.DevNull)
	grant := []string{"--role", "reader", "--tenant", tenantA}
	made := func(args ...string) string { return s.ok(append(args, grant...)...) }
	brief := made("token", "create", "--expires", "1s")
	eventually(t, "a token to expire", func() bool { return strings.Contains(s.ok("token", "list"), "expired") })
	revoked := made("token", "create", "--note", "revoked")
	for line := range strings.Lines(s.ok("token", "list")) {
		if id, _, _ := strings.Cut(line, " "); strings.Contains(line, "revoked") {
			s.ok("token", "revoke", id)
		}
	}
	const denied = "password authentication failed"
	root, token := filepath.Join(s.work, "server.crt"), made("token", "create")
	all := []attempt{
		{"a password", "ann", made("user", "create", "ann"), root, ""},
		{"a token", "token", token, root, ""},
		{"a token's own user", "token." + strings.Split(token, "_")[1], token, root, ""},
		{"a wrong password", "ann", "wrong", root, denied},
		{"a revoked token", "token", revoked, root, denied},
		{"an expired token", "token", brief, root, denied},
		{"another server's certificate", "token", token, foreign, certificateError},
	}
	for _, d := range s.drivers() {
		t.Run(d.name, func(t *testing.T) {
			for i, said := range d.try(t, all) {
				a := all[i]
				if a.want == "" && said != "" || a.want != "" && !strings.Contains(strings.ToLower(said), a.want) {
					t.Errorf("with %s: %q, want %q", a.name, said, a.want)
				}
			}
		})
	}
}

// conninfo is an attempt as libpq has it.
func (s *site) conninfo(a attempt) string {
	return strings.Replace(s.overTLS(a.user, a.password), filepath.Join(s.work, "server.crt"), a.root, 1) + " dbname=x"
}

func (s *site) drivers() []driver {
	branch := " options='-c zenith.branch=" + tenantA + "/main'"
	asked := func(cmd func(t *testing.T, conninfo string) *exec.Cmd) func(*testing.T, []attempt) []string {
		return each(func(t *testing.T, a attempt) string { return said(s.runCmd(cmd(t, s.conninfo(a)))) })
	}
	return []driver{
		{"psql", asked(func(_ *testing.T, conninfo string) *exec.Cmd {
			return clientCommand("psql", conninfo+" channel_binding=require", "-Xc", "status")
		})},
		{"pgx", each(s.tryPgx)},
		{"psycopg2", s.tryPsycopg2},
		{"JDBC", s.tryJDBC},
		{"pg_basebackup", asked(func(t *testing.T, conninfo string) *exec.Cmd {
			return pgtest.Command(t, "pg_basebackup", "-d", conninfo+branch, "-D", filepath.Join(pgtest.TempDir(t), "data"), "-Ft", "-c", "fast", "-X", "none")
		})},
		{"pg_receivewal", asked(func(t *testing.T, conninfo string) *exec.Cmd {
			return clientCommand("pg_receivewal", "-d", conninfo+branch, "-D", t.TempDir(), "--no-loop", "--endpos", s.beforeHead())
		})},
		{"zenith", each(func(t *testing.T, a attempt) string {
			far := &site{t: t, dir: t.TempDir()}
			far.work = filepath.Join(far.dir, ".zenith")
			return said(far.run("init", "--remote-pageserver", s.conninfo(a)))
		})},
	}
}

// each makes a driver of what tries once.
func each(try func(t *testing.T, a attempt) string) func(*testing.T, []attempt) []string {
	return func(t *testing.T, attempts []attempt) (list []string) {
		for _, a := range attempts {
			list = append(list, try(t, a))
		}
		return list
	}
}

// said gives what a program that failed says.
func said(r result) string {
	if r.code == 0 {
		return ""
	}
	return fmt.Sprintf("exit %d: %s", r.code, r.err)
}

// beforeHead gives an LSN shortly before the end of main's WAL.
func (s *site) beforeHead() string {
	head, err := pg.ParseLSN(s.lsn("main"))
	if err != nil {
		s.t.Fatal(err)
	}
	return (head - 8).String()
}

func (s *site) tryPgx(t *testing.T, a attempt) string {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// pgx looks for a client's certificate where sslcert says, and insists on it.
	conninfo := strings.Replace(s.conninfo(a), "sslcert=/nonexistent", "", 1)
	c, err := pgconn.Connect(ctx, conninfo)
	if err == nil {
		_, err = c.Exec(ctx, "status").ReadAll()
		err = errors.Join(err, c.Close(ctx))
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// tryPsycopg2 has one process of Debian's Python make all attempts.
func (s *site) tryPsycopg2(t *testing.T, attempts []attempt) []string {
	const python = "/usr/bin/python3"
	if out, err := exec.Command(python, "-c", "import psycopg2").CombinedOutput(); err != nil {
		t.Skipf("no psycopg2 here (.ci/install-drivers): %s", out)
	}
	var lines []string
	for _, a := range attempts {
		lines = append(lines, s.conninfo(a))
	}
	return answers(t, exec.Command(python, "testdata/drivers/psycopg2_status.py"), lines)
}

// tryJDBC has one process of Java make all attempts.
func (s *site) tryJDBC(t *testing.T, attempts []attempt) []string {
	jars := []string{"/usr/share/java/bsh.jar", "/usr/share/java/postgresql.jar"}
	if _, err := exec.LookPath("java"); err != nil || slices.ContainsFunc(jars, func(jar string) bool { return !exists(jar) }) {
		t.Skip("no Java with JDBC and BeanShell here (.ci/install-drivers)")
	}
	addr, err := os.ReadFile(filepath.Join(s.work, "pageserver.addr"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, a := range attempts {
		more := url.Values{"sslmode": {"verify-full"}, "sslrootcert": {a.root}}
		lines = append(lines, fmt.Sprintf("jdbc:postgresql://%s/x?%s\t%s\t%s", strings.TrimSpace(string(addr)), more.Encode(), a.user, a.password))
	}
	return answers(t, exec.Command("java", "-cp", strings.Join(jars, ":"), "bsh.Interpreter", "testdata/drivers/JdbcStatus.bsh"), lines)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// answers runs a program that answers each line of its input by a line: "ok" with the list of tenants, or what is
// wrong.
func answers(t *testing.T, cmd *exec.Cmd, lines []string) (list []string) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(strings.Join(lines, "\n")+"\n"), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, stderr.String())
	}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if line == `ok ["`+tenantA+`"]` {
			line = ""
		}
		list = append(list, line)
	}
	if len(list) != len(lines) {
		t.Fatalf("%d answers to %d lines: %s%s", len(list), len(lines), out, stderr.String())
	}
	return list
}

// TestReceiveOverTLS follows a stock server that lets in by SCRAM over TLS only, and whose certificate is verified.
func TestReceiveOverTLS(t *testing.T) {
	t.Parallel()
	srv, _ := native(t, nil, "password_encryption=scram-sha-256", "listen_addresses='127.0.0.1'", "ssl=on")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	srv.Configure(t, fmt.Sprintf("port=%d", port))
	s := emptySite(t)
	root, foreign := filepath.Join(s.dir, "root.crt"), filepath.Join(s.dir, "foreign.crt") // the page server's account reads them
	selfSigned(t, foreign, os.DevNull)
	cert, key := filepath.Join(srv.Dir, "server.crt"), filepath.Join(srv.Dir, "server.key")
	selfSigned(t, cert, key)
	text, err := os.ReadFile(cert)
	if err == nil {
		err = os.WriteFile(root, text, 0o644)
	}
	uid, gid := pgtest.Owner(t)
	if err := errors.Join(err, os.Chown(cert, uid, gid), os.Chown(key, uid, gid)); err != nil {
		t.Fatal(err)
	}
	hba := "local all all trust\nhostssl replication repl 127.0.0.1/32 scram-sha-256\nhostssl all repl 127.0.0.1/32 scram-sha-256\n"
	if err := os.WriteFile(filepath.Join(srv.Dir, "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		t.Fatal(err)
	}
	srv.Start(t)
	local := fmt.Sprintf("host=%s port=%d user=postgres", srv.Socket, port)
	s.sql(local, "CREATE ROLE repl LOGIN REPLICATION PASSWORD 'right'", "CREATE TABLE t (i int)")
	conninfo := func(password, root string) string {
		return fmt.Sprintf("host=127.0.0.1 port=%d user=repl password=%s sslmode=verify-full sslrootcert=%s", port, password, root)
	}
	for bad, want := range map[string]string{conninfo("wrong", root): "password authentication failed", conninfo("right", foreign): certificateError} {
		if r := s.run("init", "--pg-distrib", pgDistrib, "--from-server", bad); r.code == 0 || !strings.Contains(r.err, want) {
			t.Errorf("%s: exit %d, %s, want %q", bad, r.code, r.err, want)
		}
	}
	s.ok("init", "--pg-distrib", pgDistrib, "--from-server", conninfo("right", root))
	s.ok("start")
	s.sql(local, "INSERT INTO t SELECT generate_series(1, 100)")
	end, err := pg.ParseLSN(s.sql(local, "SELECT pg_current_wal_flush_lsn()"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "WAL over TLS", func() bool {
		got, err := pg.ParseLSN(s.lsn("main"))
		return err == nil && got >= end
	})
	if r := s.run("receive", "set", "main", conninfo("wrong", root)); r.code == 0 || !strings.Contains(r.err, "password authentication failed") {
		t.Errorf("a receiver with a wrong password: exit %d, %s", r.code, r.err)
	}
}

// selfSigned makes a certificate for 127.0.0.1, signed by itself, and its key, in files of PEM.
func selfSigned(t *testing.T, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
}
