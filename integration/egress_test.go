package integration

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestStrangersConninfo has somebody with a token, over TCP, name servers to the page server: a passfile that only root
// may read stays unread, nothing on this machine is connected to, and the answer does not tell what is there. With a list
// in the settings the same somebody may follow a server that is in it.
func TestStrangersConninfo(t *testing.T) {
	t.Parallel()
	srv, _ := native(t, nil)
	srv.Configure(t, "listen_addresses='127.0.0.1'")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv.Configure(t, fmt.Sprintf("port=%d", free.Addr().(*net.TCPAddr).Port))
	at := free.Addr().(*net.TCPAddr).Port
	free.Close()
	srv.Start(t)
	s := emptySite(t)
	s.ok("init", "--pg-distrib", pgDistrib, "--listen", "127.0.0.1:0")
	s.ok("start")
	token := s.ok("token", "create", "--role", "writer")
	token = token[strings.LastIndexByte(token, '\n')+1:]
	tenant := strings.TrimSpace(s.ok("tenant", "list"))
	ask := func(command string) result {
		t.Helper()
		port, err := os.ReadFile(filepath.Join(s.work, "pageserver.addr"))
		if err != nil {
			t.Fatal(err)
		}
		u := url.URL{Scheme: "postgresql", User: url.UserPassword("token", token), Host: strings.TrimSpace(string(port)), Path: "/"}
		return s.runCmd(exec.Command(program("psql"), u.String(), "-Xc", command))
	}
	pass := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("*:*:*:*:ROOTS-PASSWORD\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	reached := make(chan string, 10)
	open, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	go func() {
		for {
			c, err := open.Accept()
			if err != nil {
				return
			}
			reached <- c.RemoteAddr().String()
			c.Close()
		}
	}()
	listening := open.Addr().(*net.TCPAddr).Port
	answers := map[string]string{}
	for _, c := range []struct {
		conninfo string
		refused  string // what the answer says; "": that nothing is there
	}{
		{fmt.Sprintf("host=127.0.0.1 port=%d user=u dbname=d sslmode=disable passfile=%s", listening, pass), "passfile"},
		{fmt.Sprintf("host=127.0.0.1 port=%d user=u sslkey=%s sslcert=%s", listening, pass, pass), "ssl"},
		{"service=x servicefile=" + pass, "service"},
		{"host=" + srv.Socket + " user=postgres", "unix socket"},
		{fmt.Sprintf("host=127.0.0.1 port=%d user=u sslmode=disable", listening), ""},
		{fmt.Sprintf("host=127.0.0.1 port=%d user=postgres sslmode=disable", at), ""},
		{"host=127.0.0.1 port=1 user=u sslmode=disable", ""},
		{"host=169.254.169.254 port=80 user=u sslmode=disable", ""},
	} {
		r := ask(fmt.Sprintf("callmemaybe %s main '%s'", tenant, c.conninfo))
		if r.code == 0 || !strings.Contains(r.err, c.refused) {
			t.Errorf("%s: %s%s", c.conninfo, r.out, r.err)
		}
		if _, what, found := strings.Cut(r.err, "connect to "); c.refused == "" {
			_, what, _ = strings.Cut(what, ": ")
			if !found {
				what = r.err
			}
			answers[what] += c.conninfo + "; "
		}
	}
	if len(answers) != 1 {
		t.Errorf("answers differ by what is there: %q", answers)
	}
	select {
	case who := <-reached:
		t.Errorf("the page server connected, from %s", who)
	default:
	}

	settings, err := os.OpenFile(filepath.Join(s.work, "pageserver.toml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := settings.WriteString("\n[egress]\nreceive = [\"127.0.0.1\"]\n"); err != nil {
		t.Fatal(err)
	}
	settings.Close()
	s.ok("restart")
	r := ask(fmt.Sprintf("callmemaybe %s main 'host=127.0.0.1 port=%d user=postgres sslmode=disable'", tenant, at))
	if !strings.Contains(r.err, "system identifier") { // it was reached: it is another cluster than the branch's
		t.Errorf("a server that the list allows: %s%s", r.out, r.err)
	}
}
