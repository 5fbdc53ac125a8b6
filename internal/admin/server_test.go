package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"zenith/internal/access"
	"zenith/internal/admin"
	"zenith/internal/api"
	"zenith/internal/pg"
)

var (
	tenantA = strings.Repeat("a", 32)
	tenantB = strings.Repeat("b", 32)
)

// still is a page server that does nothing.
type still struct {
	stats *api.Stats
	err   error
}

func (s still) Stats(context.Context) (*api.Stats, error) { return s.stats, s.err }

// someStats are of two tenants, of which the first has a branch that follows a server and a postgres that has crashed.
func someStats() *api.Stats {
	return &api.Stats{
		Now: time.Now(), Began: time.Now().Add(-time.Hour), Dir: "/w", Disk: api.Disk{Size: 100 << 30, Free: 50 << 30},
		Tenants: []string{tenantA, tenantB},
		Open: []api.TenantStats{
			{
				ID: tenantA, StoreBytes: 1 << 20, WALBytes: 2 << 20,
				Branches:  []api.BranchStats{{Branch: api.Branch{Name: "main", TimelineID: "1", LatestValidLSN: 0x2000000}, Behind: 7}},
				Computes:  []api.Compute{{Name: "main", Status: api.ComputeCrashed}},
				Receivers: []api.Receiver{{Branch: "main", Status: "streaming", LagBytes: new(int64(5)), LagSeconds: new(int64(6))}},
			},
			{ID: tenantB, Branches: []api.BranchStats{{Branch: api.Branch{Name: "secret", TimelineID: "2"}}}},
		},
		Mounts: []api.Mount{{Dir: "/m", Mode: api.ModeReadOnly, Tenant: tenantB}},
		Counts: api.Counts{Commits: 12},
	}
}

// serve starts a server on a free port of loopback, and gives its URL.
func serve(t *testing.T, o admin.Options) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	start(t, o, l)
	return "http://" + l.Addr().String()
}

func start(t *testing.T, o admin.Options, l net.Listener) {
	t.Helper()
	if o.Source == nil {
		o.Source = still{stats: someStats()}
	}
	s := admin.New(o)
	s.Serve(l)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// metricName finds the names of metrics in other files.
var metricName = regexp.MustCompile(`\bzenith_[a-z_]+\b`)

var trusting = &access.Policy{Method: access.Trust}

// get asks for a URL, as edit changes the request, and gives the answer's status and text.
func get(t *testing.T, c *http.Client, url string, edit func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(r)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestExposition: Prometheus' own linter has nothing against the metrics, and they say what the page server says.
func TestExposition(t *testing.T) {
	url := serve(t, admin.Options{Access: trusting, Version: "v1", Wire: func() int { return 3 },
		Gateway: func() api.GatewayCounts { return api.GatewayCounts{Connections: 5, Accepted: 8, Refused: 2} }})
	status, text := get(t, http.DefaultClient, url+"/metrics", nil)
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, text)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "zenith_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for _, want := range []string{
		`zenith_build_info{version="v1"} 1`,
		`zenith_connections 3`,
		`zenith_gateway_connections 5`,
		`zenith_gateway_clients_total{result="connected"} 8`,
		`zenith_gateway_clients_total{result="refused"} 2`,
		`zenith_commits_total 12`,
		`zenith_branches{tenant="` + tenantA + `"} 1`,
		`zenith_branch_head_lsn_bytes{branch="main",tenant="` + tenantA + `"} 3.3554432e+07`,
		`zenith_branch_ingest_lag_bytes{branch="main",tenant="` + tenantA + `"} 7`,
		`zenith_receiver_lag_seconds{branch="main",tenant="` + tenantA + `"} 6`,
		`zenith_computes{state="crashed"} 1`,
		`zenith_computes{state="running"} 0`,
		`zenith_mounts{mode="ro"} 1`,
		`zenith_problems{severity="critical"} 1`,
		`zenith_page_read_seconds_count 0`,
		`go_goroutines `,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
}

// TestMetricsDoc: docs/monitoring.md has a row for each metric and no other; the dashboard and the alerts use no metric
// that there is not.
func TestMetricsDoc(t *testing.T) {
	_, text := get(t, http.DefaultClient, serve(t, admin.Options{Access: trusting})+"/metrics", nil)
	there := map[string]bool{}
	for line := range strings.Lines(text) {
		if name, found := strings.CutPrefix(line, "# TYPE zenith_"); found {
			there["zenith_"+strings.Fields(name)[0]] = true
		}
	}
	doc, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for line := range strings.Lines(string(doc)) {
		if row, found := strings.CutPrefix(line, "| `zenith_"); found {
			name, _, _ := strings.Cut(row, "`")
			documented["zenith_"+name] = true
		}
	}
	for name := range there {
		if !documented[name] {
			t.Errorf("docs/monitoring.md has no row for %s", name)
		}
	}
	for name := range documented {
		if !there[name] {
			t.Errorf("docs/monitoring.md has %s, which there is not", name)
		}
	}
	for _, file := range []string{"../../docs/grafana/zenith.json", "../../docs/grafana/alerts.yml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		used := metricName.FindAllString(string(text), -1)
		if len(used) < 5 {
			t.Errorf("%s uses %d metrics", file, len(used))
		}
		for _, name := range used {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if bare, cut := strings.CutSuffix(name, suffix); cut && there[bare] {
					name = bare
				}
			}
			if !there[name] {
				t.Errorf("%s uses %s, which there is not", file, name)
			}
		}
	}
}

// TestCardinality: however many branches there are, a few hundred have metrics of their own, those that are in use first.
func TestCardinality(t *testing.T) {
	stats := someStats()
	a := &stats.Open[0]
	for n := range 5000 {
		a.Branches = append(a.Branches, api.BranchStats{Branch: api.Branch{
			Name: fmt.Sprintf("b%d", n), TimelineID: fmt.Sprintf("t%d", n), AncestorID: new("1"), LatestValidLSN: pg.LSN(n),
		}})
	}
	a.Computes = append(a.Computes, api.Compute{Name: "b7", Timeline: "t7", Status: api.ComputeRunning})
	_, text := get(t, http.DefaultClient, serve(t, admin.Options{Access: trusting, Source: still{stats: stats}})+"/metrics", nil)
	if n := strings.Count(text, "\nzenith_branch_head_lsn_bytes{"); n != 200 {
		t.Errorf("%d branches have metrics", n)
	}
	for _, name := range []string{"main", "b7", "b4999"} {
		if !strings.Contains(text, `zenith_branch_head_lsn_bytes{branch="`+name+`"`) {
			t.Errorf("branch %s has none", name)
		}
	}
	if !strings.Contains(text, `zenith_branches{tenant="`+tenantA+`"} 5001`) {
		t.Error("the number of branches is not told")
	}
}

// store makes users and tokens: ann reads tenantA, joe is an admin of everything.
func store(t *testing.T) (s *access.Store, token string) {
	t.Helper()
	s = access.OpenStore(filepath.Join(t.TempDir(), "users"), slog.New(slog.DiscardHandler))
	for name, grant := range map[string]access.Grant{"ann": {Role: access.Reader, Tenants: access.Tenants(tenantA)}, "joe": {Role: access.Admin}} {
		v, err := access.NewVerifier("the password of " + name)
		if err == nil {
			err = s.CreateUser(name, grant, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_, token, err := s.CreateToken(access.Grant{Role: access.Reader}, time.Hour, "prometheus")
	if err != nil {
		t.Fatal(err)
	}
	return s, token
}

func basic(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

// TestWhoIsLetIn: who sees what, over loopback.
func TestWhoIsLetIn(t *testing.T) {
	users, token := store(t)
	scram := serve(t, admin.Options{Access: &access.Policy{Method: access.Scram, Store: users}, Pprof: true})
	trust := serve(t, admin.Options{Access: trusting})
	for _, tt := range []struct {
		name, url string
		edit      func(*http.Request)
		status    int
		sees      string
		not       string
	}{
		{"nobody", scram + "/metrics", nil, 401, "", "zenith_"},
		{"a wrong password", scram + "/metrics", basic("ann", "x"), 401, "", "zenith_"},
		{"no such user", scram + "/metrics", basic("eve", "x"), 401, "", "zenith_"},
		{"a reader of one tenant", scram + "/metrics", basic("ann", "the password of ann"), 200, `zenith_branches{tenant="` + tenantA, tenantB},
		{"a reader of one tenant, what is of all", scram + "/metrics", basic("ann", "the password of ann"), 200, "zenith_tenants 1\n", "zenith_commits_total"},
		{"an admin", scram + "/metrics", basic("joe", "the password of joe"), 200, tenantB, "nobody"},
		{"a token", scram + "/metrics", basic("token", token), 200, "zenith_commits_total 12", "nobody"},
		{"a bearer", scram + "/metrics", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }, 200, tenantB, "nobody"},
		{"a wrong bearer", scram + "/metrics", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token+"x") }, 401, "", "zenith_"},
		{"profiles for a reader", scram + "/debug/pprof/", basic("token", token), 403, "", "goroutine"},
		{"profiles for an admin", scram + "/debug/pprof/", basic("joe", "the password of joe"), 200, "goroutine", "nobody"},
		{"health", scram + "/healthz", nil, 200, "ok", "a"},
		{"readiness", scram + "/readyz", nil, 200, "ready", "/w"},
		{"trust", trust + "/metrics", nil, 200, tenantB, "nobody"},
		{"trust, no profiles are asked for", trust + "/debug/pprof/", nil, 404, "", "goroutine"},
		{"trust, another host", trust + "/metrics", func(r *http.Request) { r.Host = "evil.example" }, 403, "", "zenith_"},
		{"trust, localhost", trust + "/metrics", func(r *http.Request) { r.Host = "localhost:1" }, 200, tenantB, "nobody"},
		{"nothing can be changed", trust + "/metrics", func(r *http.Request) { r.Method = http.MethodPost }, 405, "", "zenith_"},
	} {
		status, text := get(t, http.DefaultClient, tt.url, tt.edit)
		if status != tt.status || !strings.Contains(text, tt.sees) || strings.Contains(text, tt.not) {
			t.Errorf("%s: %d, %s", tt.name, status, text)
		}
	}
}

// TestGuessingWaits: who shows wrong passwords again and again is told to wait.
func TestGuessingWaits(t *testing.T) {
	users, _ := store(t)
	url := serve(t, admin.Options{Access: &access.Policy{Method: access.Scram, Store: users}})
	for range 20 {
		if status, _ := get(t, http.DefaultClient, url+"/metrics", basic("ann", "wrong")); status == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("twenty guesses are free")
}

// TestUnixSocket: the account at the other end of a socket decides.
func TestUnixSocket(t *testing.T) {
	for _, tt := range []struct {
		policy *access.Policy
		status int
	}{
		{&access.Policy{OwnerUID: os.Getuid()}, 200},
		{&access.Policy{OwnerUID: os.Getuid() + 1, Accounts: map[int]access.Account{os.Getuid(): {Grant: access.Grant{Role: access.Reader}}}}, 200},
		{&access.Policy{OwnerUID: os.Getuid() + 1}, 403},
	} {
		if os.Getuid() == 0 {
			tt.status = 200 // root is always the owner
		}
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		start(t, admin.Options{Access: tt.policy}, l)
		c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}}
		if status, text := get(t, c, "http://zenith/metrics", nil); status != tt.status {
			t.Errorf("%d, want %d: %s", status, tt.status, text)
		}
		c.CloseIdleConnections()
	}
}

// TestNotReady: a page server that cannot work says so, and not to strangers why.
func TestNotReady(t *testing.T) {
	full := someStats()
	full.Disk.Free = 1 << 20
	for _, source := range []still{{err: fmt.Errorf("secret")}, {stats: full}} {
		status, text := get(t, http.DefaultClient, serve(t, admin.Options{Source: source})+"/readyz", nil)
		if status != http.StatusServiceUnavailable || strings.Contains(text, "secret") {
			t.Errorf("%d, %s", status, text)
		}
	}
}

// TestJournal: lines are counted by level, and the last are kept with the tenant that they are about; audit lines are
// neither errors nor events.
func TestJournal(t *testing.T) {
	var j admin.Journal
	var out bytes.Buffer
	log := slog.New(j.Handler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo})))
	log.Debug("nothing")
	log.With("tenant", tenantA).Warn("late", "by", "5 s", "err", nil)
	for n := range 300 {
		log.Error("broken", "n", n)
	}
	log.Log(t.Context(), access.LevelAudit, "audit")
	if got := j.Counts(); got != (admin.LogCounts{Warn: 1, Error: 300}) {
		t.Errorf("got %+v", got)
	}
	events := j.Events()
	if len(events) != 200 || events[0].Text != "broken, n 299" {
		t.Errorf("%d events, the first %+v", len(events), events[0])
	}
	if n := strings.Count(out.String(), "\n"); n != 302 {
		t.Errorf("%d lines went on", n)
	}
	log.With("tenant", tenantA).Warn("late", "by", "5 s", "err", nil)
	if e := j.Events(); e[0].Tenant != tenantA || e[0].Text != "late, by 5 s" || e[0].Level != slog.LevelWarn {
		t.Errorf("got %+v", e[0])
	}
}

// TestCrowd: strangers do not take all file descriptors of the page server.
func TestCrowd(t *testing.T) {
	url := serve(t, admin.Options{Access: trusting})
	var open int
	for range 150 {
		nc, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		if _, err := nc.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			open++
		}
	}
	if open > 100 {
		t.Errorf("%d connections that say nothing", open)
	}
}
