package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"zenith/internal/pgtest"
)

// compute is what pg list says of a postgres.
type compute struct {
	Branch, URI, Account, Dir, Log, Address string
	PasswordFile                            string `json:"password_file"`
}

// compute gives what pg list says of a tenant's postgres; "" is the default tenant.
func (s *site) compute(tenant, name string) compute {
	s.t.Helper()
	args := []string{"pg", "list", "-o", "json"}
	if tenant != "" {
		args = append(args, "--tenantid", tenant)
	}
	var list []compute
	if err := json.Unmarshal([]byte(s.ok(args...)), &list); err != nil {
		s.t.Fatal(err)
	}
	for _, c := range list {
		if c.Branch == name {
			return c
		}
	}
	s.t.Fatalf("pg list has no %s: %v", name, list)
	return compute{}
}

// asAccount makes a command that runs as the account of a postgres, which may be a user id without a name.
func (c compute) asAccount(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	uid, err := strconv.Atoi(c.Account)
	if os.Geteuid() == 0 && err == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	return cmd
}

const canary = "canary-of-tenant-two"

// TestTenantsAreApart has a superuser of one tenant's SQL try to get at what is another tenant's, by programs that
// run as the postgres of the first. Root, for whom all of that works, shows that the attempts would find something.
func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("an ordinary user's tenants run as that user, all of them")
	}
	s := newSite(t)
	s.ok("tenant", "create", tenantB)
	one, two := s.start("main"), s.start("main", "--tenantid", tenantB, "--set", "log_statement=all")
	disk := pgtest.TempDir(t)
	s.sql(one, "CREATE TABLE o (l text)", "CREATE EXTENSION dblink")
	c := s.compute(tenantB, "main")
	if own := s.compute("", "main").Account; own == c.Account {
		t.Fatalf("both run as %s", own)
	}
	s.runCmd(exec.Command("chown", c.Account, disk))
	s.sql(two, "CREATE TABLE s AS SELECT '"+canary+"' AS t", "CREATE TABLESPACE far LOCATION '"+disk+"'", "CHECKPOINT", "SELECT pg_switch_wal()")
	file := filepath.Join(c.Dir, s.sql(two, "SELECT pg_relation_filepath('s')"))
	pid := pidIn(t, filepath.Join(c.Dir, "postmaster.pid"))
	if err := os.WriteFile(filepath.Join(c.Dir, "canary"), []byte(canary), 0o644); err == nil {
		defer os.Remove(filepath.Join(c.Dir, "canary"))
	}
	export := filepath.Join(s.dir, "export")
	s.ok("export", "main", "--tenantid", tenantB, "--dir", export)
	tenant := filepath.Join(s.work, "tenants", tenantB)
	psql := program("psql")
	for what, command := range map[string]string{
		"a table's file":     "cat " + file,
		"pg_wal":             "cat " + c.Dir + "/pg_wal/0*",
		"the log":            "cat " + c.Log,
		"the store":          "grep -rac " + canary + " " + tenant + " | grep -v ':0' && echo " + canary,
		"the password":       "test -s " + c.PasswordFile + " && cat " + c.PasswordFile + " && echo " + canary,
		"its unix socket":    psql + " '" + two + "' -XAtc 'select t from s'",
		"its TCP port":       "PGPASSWORD=$(cat " + c.PasswordFile + ") " + psql + " -h 127.0.0.1 -p " + c.Address[strings.LastIndexByte(c.Address, ':')+1:] + " -U postgres -wXAtc 'select t from s'",
		"its environment":    "cat /proc/" + fmt.Sprint(pid) + "/environ && echo " + canary,
		"its open files":     "ls /proc/" + fmt.Sprint(pid) + "/fd && echo " + canary,
		"its directory":      "ls /proc/" + fmt.Sprint(pid) + "/cwd/ && echo " + canary,
		"its memory":         "head -c 1 /proc/" + fmt.Sprint(pid) + "/auxv && echo " + canary,
		"a signal":           "kill -0 " + fmt.Sprint(pid) + " && echo " + canary,
		"the page server":    psql + " '" + s.address() + "' -XAtc tenant_list && echo " + canary,
		"the settings":       "cat " + filepath.Join(s.work, "pageserver.toml") + " && echo " + canary,
		"an export":          "cat " + filepath.Join(export, strings.TrimPrefix(file, c.Dir+"/")),
		"its directory name": "touch " + c.Dir + "/x " + filepath.Dir(c.Dir) + "/x && rm " + c.Dir + "/x " + filepath.Dir(c.Dir) + "/x && echo " + canary,
		"a tablespace":       "touch " + disk + "/x && rm " + disk + "/x && echo " + canary,
	} {
		if r := s.runCmd(exec.Command("sh", "-c", command)); !strings.Contains(r.out, canary) {
			t.Errorf("%s: not even root finds the canary: %s%s", what, r.out, r.err)
		}
		quoted := strings.ReplaceAll("("+command+") 2>/dev/null | grep -ac "+canary+"; true", "'", "''")
		if got := s.sql(one, "TRUNCATE o", "COPY o FROM PROGRAM '"+quoted+"'", "SELECT l FROM o"); got != "0" {
			t.Errorf("%s: tenant one finds the canary", what)
		}
	}
	for what, query := range map[string]string{
		"pg_read_file":  "SELECT pg_read_binary_file('" + file + "')",
		"dblink socket": "SELECT * FROM dblink('" + two + "', 'SELECT t FROM s') AS x(t text)",
		"dblink TCP":    "SELECT * FROM dblink('host=127.0.0.1 user=postgres dbname=postgres port=" + c.Address[strings.LastIndexByte(c.Address, ':')+1:] + "', 'SELECT t FROM s') AS x(t text)",
		"tablespace":    "CREATE TABLESPACE far LOCATION '" + disk + "'",
		"COPY TO":       "COPY (SELECT 1) TO '" + c.Dir + "/x'",
	} {
		if r := s.runCmd(exec.Command(psql, one, "-XAtc", query)); r.code == 0 {
			t.Errorf("%s: %s", what, r.out)
		}
	}
}

// TestNobodyGetsInWithoutAPassword: another account of this machine reaches no postgres of zenith's, neither one
// that runs for pg exec.
func TestNobodyGetsInWithoutAPassword(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("it takes another account")
	}
	native := pgtest.Init(t, pgtest.Options{})
	native.Start(t)
	native.Psql(t, "CREATE ROLE app LOGIN PASSWORD 'app-password'")
	native.Stop(t, pgtest.Fast)
	s := emptySite(t)
	s.ok("init", "--pg-distrib", pgDistrib, "--from-pgdata", native.Dir) // its pg_hba.conf trusts everybody
	s.ok("start")
	s.ok("branch", "dev", "main")
	psql := program("psql")
	for _, point := range []string{"main", "dev"} {
		uri := s.start(point)
		port := s.compute("", point).Address
		port = port[strings.LastIndexByte(port, ':')+1:]
		s.want(uri, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust' AND type <> 'local'", "0")
		for _, target := range []string{uri, "postgresql://postgres@127.0.0.1:" + port + "/postgres", "postgresql://app@127.0.0.1:" + port + "/postgres"} {
			cmd := exec.Command(psql, target, "-wXAtc", "select 1")
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			if r := s.runCmd(cmd); r.code == 0 {
				t.Errorf("%s: uid 65534 is let into %s", point, target)
			}
		}
		s.want("postgresql://app:app-password@127.0.0.1:"+port+"/postgres", "SELECT current_user", "app")
		s.want(strings.Replace(uri, "postgres@", "app@", 1), "SELECT current_user", "app") // root, by the socket
		s.ok("pg", "stop", point)
	}
	tried := "test -z \"$(ls $PGHOST/.s.PGSQL.$PGPORT 2>&1 >/dev/null)\" && setpriv --reuid=65534 --regid=65534 --clear-groups " + psql + " -wXAtc 'select 1'; " +
		"setpriv --reuid=65534 --regid=65534 --clear-groups " + psql + " -h 127.0.0.1 -wXAtc 'select 2'; true"
	if out := s.ok("pg", "exec", "main", "--", "sh", "-c", tried); out != "" {
		t.Errorf("uid 65534 is let into the postgres of pg exec: %s", out)
	}
}

// TestPasswordOfAFreshCluster: what pg start --tcp prints works as it is printed, and only the owner can read
// the password.
func TestPasswordOfAFreshCluster(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.want(s.start("main", "--tcp"), "SELECT current_user", "postgres")
	c := s.compute("", "main")
	if fi, err := os.Stat(c.PasswordFile); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	s.want(c.URI, "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'postgres'", "t")
	s.fails(12, "pg", "start", "main@"+s.lsn("main"), "--tcp")
}
