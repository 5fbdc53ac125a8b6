package pageserver_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pageserver"
)

// psql runs psql's -c against addr and gives what it prints, errors included.
func psql(t *testing.T, addr string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("no psql here")
	}
	cmd := exec.Command(path, append([]string{"-X", "-h", filepath.Dir(addr), "-p", pageserver.DefaultPort, "-U", "me", "-A", "-t", "postgres"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return strings.TrimSpace(string(out)) + "\n" + err.Error()
	}
	return strings.TrimSpace(string(out))
}

func TestPsql(t *testing.T) {
	f := newFake()
	f.export = []byte("the tar file")
	addr := serve(t, f, pageserver.Options{})
	equal(t, psql(t, addr, "-c", "status"), "address|127.0.0.1:6400\ntenants|1")
	equal(t, psql(t, addr, "-c", "SET x = 1; tenant_list"), "SET\n"+`["`+tenantA+`"]`)
	equal(t, psql(t, addr, "-c", `branch_delete `+tenantA+` "a b"`), "BRANCH_DELETE")
	equal(t, f.last(), `delete `+tenantA+` "a b" false`)
	equal(t, psql(t, addr, "-c", "fullbackup "+tenantA+" main"), "the tar file")
	equal(t, psql(t, addr, "-c", "do_gc "+tenantA+" main"), "1|2|3|4|5")
	equal(t, psql(t, addr, "-v", "VERBOSITY=verbose", "-c", "lsn x"), "ERROR:  42601: lsn: 1 arguments; usage: lsn TENANT POINT\nexit status 1")
	equal(t, psql(t, addr, "-c", "nonsense", "-c", "status"), "ERROR:  unknown command \"nonsense\": the command help lists all\naddress|127.0.0.1:6400\ntenants|1")
}
