package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// exchange is a command of the page server and its answer, which is the same for every client. In both, T
// stands for the tenant's id, TL for main's, LSN for main's head, and DIR for an empty directory.
type exchange struct {
	command string
	columns string // NAME:OID of each, separated by blanks
	rows    string // a pattern for all rows: columns are separated by |, rows by \n
	state   string // the SQLSTATE, if the answer is an error
}

const branchJSON = `\{"name":"%s","timeline_id":"[0-9a-f]{32}","latest_valid_lsn":"0/[0-9A-F]+","ancestor_id":%s,"ancestor_lsn":%s,"pg_version":1[4-9],"created_at":"[^"]*"(,"protected":true)?\}`

// surface is every command that clients rely on, but for those that stream.
func surface() []exchange {
	root, child := fmt.Sprintf(branchJSON, "main", "null", "null"), `"[0-9a-f]{32}"`
	odd := fmt.Sprintf(branchJSON, `my-\\"odd\\"/branch;`, child, `"0/[0-9A-F]+"`)
	mount := "dir:25 mode:25 tenant:25 branch:25 timeline:25 lsn:25 errors:20 last_error:25"
	return []exchange{
		{"SET search_path = x", "", "", ""},
		{"status", "name:25 value:25", `(?s).*tenants\|1\n.*branches\|1\n.*`, ""},
		{"identify_system T main", "systemid:25 timeline:23 xlogpos:25 dbname:25", `[0-9]{19}\|1\|0/[0-9A-F]+\|.*`, ""},
		{"tenant_list", "tenant_list:25", `\["T"\]`, ""},
		{"tenant_create T", "", "", "42710"},
		{"tenant_create short", "", "", "22023"},
		{"branch_list T", "branch_list:25", `\[` + root + `\]`, ""},
		{`branch_create T "my-""odd""/branch;" 'main@LSN'`, "branch_create:25", odd, ""},
		{`branch_create T 'my-"odd"/branch;' main`, "branch_create:25", "", "42710"},
		{"branch_create T x nowhere", "branch_create:25", "", "42704"},
		{"branch_create T x main@FF/0", "branch_create:25", "", "22003"},
		{"branch_create T x main@nonsense", "branch_create:25", "", "22023"},
		{`branch_list T`, "branch_list:25", `\[` + root + "," + odd + `\]`, ""},
		{`branch_delete T "my-""odd""/branch;"`, "", "", ""},
		{"branch_delete T nowhere", "", "", "42704"},
		{"lsn T TL", "lsn:25", "LSN", ""},
		{"lsn T 'main", "", "", "42601"},
		{"lsn T", "", "", "42601"},
		{"callmemaybe T TL 'host=/nowhere user=x'", "", "", "XX000"},
		{"callmemaybe T TL nonsense", "", "", "22023"},
		{"receive_list T", "branch:25 conninfo:25 status:25 received:25 flushed:25 applied:25 lag_bytes:20 lag_seconds:20 since:1184 last_error:25", "", ""},
		{"lease T TL LSN", "valid_until:1184", `20[-0-9]{8}.*`, ""},
		{"lease T TL FF/0", "", "", "22003"},
		{"do_gc T TL 0", "n_relations:20 truncated:20 deleted:20 dropped:20 elapsed:20", `(\d+\|){4}\d+`, ""},
		{"do_gc T TL -1", "", "", "22023"},
		{"mount T main@LSN DIR", mount, `DIR\|ro\|T\|main\|TL\|LSN\|0\|`, ""},
		{"mount T main@LSN DIR scratch", mount, "", "55006"},
		{"mount_list", mount, `DIR\|ro\|T\|main\|TL\|LSN\|0\|`, ""},
		{"umount DIR", "", "", ""},
		{"umount DIR", "", "", "42704"},
		{"frobnicate", "", "", "42601"},
		{"basebackup T TL FF/0", "", "", "22003"},
		{"fullbackup T nowhere", "", "", "42704"},
		{"pagestream T nowhere", "", "", "42704"},
	}
}

// client sends commands as one kind of client does: by one program or library, and one form of the protocol.
type client struct {
	name string
	ask  func(t *testing.T, command string) (columns, rows string, err error)
}

// TestClients sends every command of the page server by psql, and by pgx in the simple protocol and in all its
// ways to use the extended one. Errors have their SQLSTATE, and the connection can be used after them.
func TestClients(t *testing.T) {
	t.Parallel()
	s := newSite(t, "--tenantid", tenantA)
	words := strings.NewReplacer("TL", s.timeline(tenantA, "main"), "LSN", s.lsn("main"), "DIR", s.mountDir("m"), "T", tenantA)
	// T, TL, LSN and DIR are replaced only where they are words of their own.
	fill := func(text string) string {
		return regexp.MustCompile(`\b(TL|LSN|DIR|T)\b`).ReplaceAllStringFunc(text, words.Replace)
	}
	clients := []client{{"psql", s.askPsql}}
	for mode, name := range map[pgx.QueryExecMode]string{
		pgx.QueryExecModeSimpleProtocol: "simple", pgx.QueryExecModeExec: "extended", pgx.QueryExecModeDescribeExec: "described",
		pgx.QueryExecModeCacheStatement: "prepared", pgx.QueryExecModeCacheDescribe: "cached",
	} {
		conn, err := pgx.Connect(t.Context(), s.address())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		clients = append(clients, client{"pgx " + name, func(_ *testing.T, command string) (string, string, error) {
			return askPgx(conn, mode, command)
		}})
	}
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			for _, x := range surface() {
				columns, rows, err := c.ask(t, fill(x.command))
				if got := sqlState(err); got != x.state || err != nil && x.state == "" {
					t.Errorf("%s: error %v, want SQLSTATE %q", x.command, err, x.state)
				}
				if x.state == "" && c.name != "psql" && columns != x.columns {
					t.Errorf("%s: columns %q, want %q", x.command, columns, x.columns)
				}
				if x.state == "" && !regexp.MustCompile("^"+fill(x.rows)+"$").MatchString(rows) {
					t.Errorf("%s: rows %q, want %q", x.command, rows, fill(x.rows))
				}
			}
		})
	}
}

// psqlError is an error as psql prints it: its SQLSTATE.
type psqlError string

func (e psqlError) Error() string { return string(e) }

func (s *site) askPsql(t *testing.T, command string) (columns, rows string, err error) {
	// The second command shows that the connection can still be used after the first.
	r := s.runCmd(clientCommand("psql", s.address(), "-XqAt", "-v", "VERBOSITY=sqlstate", "-c", command, "-c", "tenant_list"))
	rows, rest, alive := strings.Cut(strings.TrimSuffix(r.out, "\n"), `["`+tenantA)
	if command == "tenant_list" {
		rows, rest, alive = `["`+tenantA+`"]`, "", strings.Count(r.out, tenantA) == 2
	}
	if !alive || r.code != 0 || strings.Contains(rest, "\n") {
		t.Errorf("after %s: exit %d, %q", command, r.code, r.out)
	}
	if strings.HasPrefix(r.err, "ERROR:  ") {
		err = psqlError(strings.TrimSpace(strings.TrimPrefix(r.err, "ERROR:  ")))
	}
	return "", strings.TrimSuffix(rows, "\n"), err
}

func sqlState(err error) string {
	var pe *pgconn.PgError
	var ps psqlError
	switch {
	case errors.As(err, &pe):
		return pe.Code
	case errors.As(err, &ps):
		return string(ps)
	}
	return ""
}

func askPgx(conn *pgx.Conn, mode pgx.QueryExecMode, command string) (columns, rows string, err error) {
	got, err := conn.Query(context.Background(), command, mode)
	if err != nil {
		return "", "", err
	}
	defer got.Close()
	var names, lines []string
	for _, f := range got.FieldDescriptions() {
		names = append(names, fmt.Sprintf("%s:%d", f.Name, f.DataTypeOID))
	}
	for got.Next() {
		values, err := got.Values()
		if err != nil {
			return "", "", err
		}
		line := []string{}
		for _, v := range values {
			if v == nil {
				v = ""
			}
			line = append(line, fmt.Sprint(v))
		}
		lines = append(lines, strings.Join(line, "|"))
	}
	return strings.Join(names, " "), strings.Join(lines, "\n"), got.Err()
}

// TestCopyClients reads the commands that stream, by pgx in the simple protocol, and in the extended one as
// rust-postgres does: it prepares the command first and runs it later. A tar stream that breaks off is an error.
func TestCopyClients(t *testing.T) {
	t.Parallel()
	s := newSite(t, "--tenantid", tenantA)
	conn, err := pgconn.Connect(t.Context(), s.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, command := range []string{"basebackup " + tenantA + " main", "fullbackup " + tenantA + " main " + s.lsn("main")} {
		var simple, extended bytes.Buffer
		tag, err := conn.CopyTo(t.Context(), &simple, command)
		if err != nil || tag.String() != "COPY" {
			t.Errorf("%s: %v, %v", command, tag, err)
		}
		if err := copyExtended(t, conn, &extended, command); err != nil {
			t.Errorf("%s in the extended protocol: %v", command, err)
		}
		if simple.Len() == 0 || !bytes.Equal(simple.Bytes(), extended.Bytes()) {
			t.Errorf("%s: %d bytes, %d in the extended protocol", command, simple.Len(), extended.Len())
		}
	}
	if err := copyExtended(t, conn, &bytes.Buffer{}, "fullbackup "+tenantA+" nowhere"); sqlState(err) != "42704" {
		t.Errorf("an unknown branch: %v", err)
	}
	if _, err := conn.Exec(t.Context(), "tenant_list").ReadAll(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// copyExtended sends the messages that copy_out of rust-postgres sends.
func copyExtended(t *testing.T, conn *pgconn.PgConn, out *bytes.Buffer, command string) error {
	t.Helper()
	send := func(messages ...pgproto3.FrontendMessage) (err error) {
		for _, m := range append(messages, &pgproto3.Sync{}) {
			conn.Frontend().Send(m)
		}
		if err := conn.Frontend().Flush(); err != nil {
			t.Fatal(err)
		}
		for {
			msg, rerr := conn.Frontend().Receive()
			if rerr != nil {
				t.Fatal(rerr)
			}
			switch m := msg.(type) {
			case *pgproto3.ErrorResponse:
				err = pgconn.ErrorResponseToPgError(m)
			case *pgproto3.CopyData:
				out.Write(m.Data)
			case *pgproto3.ReadyForQuery:
				return err
			}
		}
	}
	if err := send(&pgproto3.Parse{Name: "s1", Query: command}, &pgproto3.Describe{ObjectType: 'S', Name: "s1"}); err != nil {
		return err
	}
	defer func() {
		if err := send(&pgproto3.Close{ObjectType: 'S', Name: "s1"}); err != nil {
			t.Error(err)
		}
	}()
	return send(&pgproto3.Bind{PreparedStatement: "s1"}, &pgproto3.Execute{})
}

// TestLibpq compiles a client in C that calls libpq's own functions, PQexec and its kin.
func TestLibpq(t *testing.T) {
	t.Parallel()
	s := newSite(t, "--tenantid", tenantA)
	program := filepath.Join(t.TempDir(), "pqexec")
	if out, err := exec.Command("gcc", "-o", program, "testdata/pqexec.c", "-l:libpq.so.5").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // a server that accepts connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, port, err := net.SplitHostPort(silent.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	const pgClass = "0000067f" + "00000005" + "000004eb" // the OIDs of tablespace pg_default, database postgres, and table pg_class
	newest := strings.Repeat("0", 16)
	steps := []struct{ say, want string }{
		{"exec tenant_list", "PGRES_TUPLES_OK SELECT 1\ntenant_list:25 \n36 \nstate 0\n"},
		{"params tenant_list", "PGRES_TUPLES_OK SELECT 1\ntenant_list:25 \n36 \nstate 0\n"},
		{"exec nonsense", "error 42601\nstate 0\n"},
		{"params nonsense", "error 42601\nstate 0\n"},
		{"exec branch_delete T x", "error 42704\nstate 0\n"},
		{"params branch_create T x main", "PGRES_TUPLES_OK SELECT 1\nbranch_create:25 \n\\d+ \nstate 0\n"},
		{"exec branch_delete T x", "PGRES_COMMAND_OK BRANCH_DELETE\nstate 0\n"},
		{"exec fullbackup T main", "PGRES_COPY_OUT \ncopied \\d{8}\nPGRES_COMMAND_OK COPY\nstate 0\n"},
		{"params basebackup T main", "PGRES_COPY_OUT \ncopied \\d{7,8}\nPGRES_COMMAND_OK COPY\nstate 0\n"},
		{"exec pagestream T main", "PGRES_COPY_BOTH \n"},
		{"page 00" + pgClass + "00" + "00000000" + newest, "answer 6 6401000000.*\n"},
		{"page 01" + pgClass + "00" + "00000000" + newest, "answer 6 6501000000.*\n"},
		{"page 02" + pgClass + "00" + "00000000" + newest, "answer 8198 660100000000\n"},
		{"page 02" + pgClass + "00" + "ffffffff" + newest, "answer \\d+ 67.*\n"},
		{"page 00" + pgClass + "03" + "00000000" + newest, "answer 6 640000000000\n"},
		{"page 02", "answer \\d+ 67.*\n"},
		{"done", "PGRES_COPY_OUT \ncopied 0\nPGRES_COMMAND_OK COPY\nstate 0\n"}, // after the client's end of the stream, the server ends its own
		{"cancelled callmemaybe T main 'host=127.0.0.1 user=x port=" + port + "'", "error 57014\nstate 0\n"},
		{"exec status", "(?s)PGRES_TUPLES_OK SELECT \\d+\nname:25 value:25 \n.*state 0\n"},
	}
	said, want := "", ""
	for _, step := range steps {
		said += strings.ReplaceAll(step.say, " T ", " "+tenantA+" ") + "\n"
		want += step.want
	}
	cmd := exec.Command(program, s.address())
	cmd.Stdin = strings.NewReader(said)
	if r := s.runCmd(cmd); r.code != 0 || !regexp.MustCompile("^"+want+"$").MatchString(r.out) {
		t.Errorf("exit %d, %s\ngot:\n%s\nwant:\n%s", r.code, r.err, r.out, want)
	}
}

// TestWireAndCLIAgree lists branches, nested ones too, by the protocol and by the command line, which prints
// nothing to stderr.
func TestWireAndCLIAgree(t *testing.T) {
	t.Parallel()
	s := newSite(t, "--tenantid", tenantA)
	parent, tree := "main", " main\n"
	for n := range 4 {
		name := fmt.Sprintf("b%d", n)
		out := s.ok("branch", name, parent)
		at := strings.Fields(out)[4]
		if out != fmt.Sprintf("Created branch '%s' at %s for tenant: %s", name, at, tenantA) {
			t.Errorf("branch says %q", out)
		}
		tree += fmt.Sprintf("%s ┗━ @%s: %s\n", strings.Repeat("   ", n), at, name)
		parent = name
	}
	r := s.run("branch")
	if r.out != tree || r.err != "" {
		t.Errorf("branch: %q, stderr %q, want %q", r.out, r.err, tree)
	}
	var wire []branchObject
	if err := json.Unmarshal([]byte(s.wire("branch_list "+tenantA)), &wire); err != nil {
		t.Fatal(err)
	}
	cli := s.branches(tenantA)
	if len(wire) != 5 || len(cli) != 5 {
		t.Fatalf("%d branches by wire, %d by CLI", len(wire), len(cli))
	}
	for n, b := range wire {
		if got, want := fmt.Sprintf("%+v", show(b)), fmt.Sprintf("%+v", show(cli[n])); got != want {
			t.Errorf("by wire %s, by CLI %s", got, want)
		}
		if n > 0 && (b.AncestorID == nil || *b.AncestorID != wire[n-1].TimelineID || b.AncestorLSN == nil) {
			t.Errorf("%s hangs on nothing", b.Name)
		}
	}
	s.fails(11, "branch", "delete", "b2")
	main := s.start("b3", "--set", "log_min_messages=debug1", "--set", "app.mine=my value")
	s.want(main, "SELECT setting, source FROM pg_settings WHERE name = 'log_min_messages'", "debug1|command line")
	s.want(main, "SHOW app.mine", "my value")
}

// show gives the fields of a branch object as text; a nil pointer is "null".
func show(b branchObject) [5]string {
	text := func(p *string) string {
		if p == nil {
			return "null"
		}
		return *p
	}
	return [5]string{b.Name, b.TimelineID, b.LatestValidLSN, text(b.AncestorID), text(b.AncestorLSN)}
}
