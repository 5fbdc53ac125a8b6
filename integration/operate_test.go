package integration

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configure adds lines to the settings of the page server.
func (s *site) configure(lines string) {
	s.t.Helper()
	f, err := os.OpenFile(filepath.Join(s.work, "pageserver.toml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := f.WriteString(lines); err != nil {
		s.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// operator asks the admin listener on its unix socket, and gives the answer's status and text.
func (s *site) operator(path string) (int, string) {
	s.t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.work, "admin.sock"))
	}}}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://zenith"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestOperate is an operator's day: metrics of real work, a restart, a configuration that is read again, a log, and a
// page server after whose restart everything is there again that was up, but for what was stopped.
func TestOperate(t *testing.T) {
	s := emptySite(t)
	s.ok("init", "--pg-distrib", pgDistrib)
	s.configure("\n[admin]\nlisten = \"admin.sock\"\n\n[autostart]\npostgres = true\nmounts = true\n")
	s.ok("start")
	uri := s.start("main")
	s.sql(uri, "CREATE TABLE t AS SELECT 1 AS x", "INSERT INTO t VALUES (2)")
	s.ok("branch", "dev", "main")
	s.start("dev")
	dir := filepath.Join(s.dir, "mnt")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.ok("mount", "main@"+s.lsn("main"), dir)
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, text := s.operator(path); status != http.StatusOK {
			t.Errorf("%s: %d, %s", path, status, text)
		}
	}
	_, text := s.operator("/metrics")
	for _, want := range []string{
		"\nzenith_computes{state=\"running\"} 2\n", "\nzenith_mounts{mode=\"ro\"} 1\n", "\nzenith_compute_start_seconds_count 2\n", "\nzenith_branch_head_lsn_bytes{branch=\"dev\"",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics have no %q", want)
		}
	}
	for _, never := range []string{"\nzenith_commits_total 0\n", "\nzenith_pages_read_total 0\n", "\nzenith_ingested_wal_bytes_total 0\n", "\nzenith_page_read_errors_total 1"} {
		if strings.Contains(text, never) {
			t.Errorf("the metrics have %q", never)
		}
	}

	began := s.sql(uri, "SELECT pg_postmaster_start_time()")
	s.sql(uri, "ALTER SYSTEM SET work_mem = '7MB'")
	s.ok("pg", "reload", "main")
	eventually(t, "the configuration to be read", func() bool { return s.sql(uri, "SHOW work_mem") == "7MB" })
	if out := s.ok("pg", "logs", "main", "-n", "20"); !strings.Contains(out, "SIGHUP") {
		t.Errorf("the log has no reload: %s", out)
	}
	s.ok("pg", "restart", "--all")
	if s.sql(uri, "SELECT pg_postmaster_start_time()") == began || s.sql(uri, "SHOW work_mem") != "7MB" {
		t.Error("it is not restarted, or has lost its configuration")
	}
	s.fails(13, "pg", "restart", "nosuch")

	s.ok("pg", "stop", "dev")
	s.ok("restart")
	eventually(t, "main to be back", func() bool { return strings.Contains(s.ok("pg", "list"), "running") })
	eventually(t, "the mount to be back", func() bool { return strings.Contains(s.ok("mount", "list"), dir) })
	s.want(uri, "SELECT sum(x) FROM t", "3")
	for line := range strings.Lines(s.ok("pg", "list")) {
		if strings.HasPrefix(line, "dev") && !strings.Contains(line, "stopped") {
			t.Errorf("dev was stopped: %s", line)
		}
	}
	s.ok("umount", dir)
}
