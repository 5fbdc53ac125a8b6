package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/access"
	"zenith/tenants"
)

// heard is a page server that remembers what it was told.
type heard struct {
	policy *access.Policy
	limits access.RoleLimits
	egress tenants.Egress
}

func (s *heard) SetAccess(p *access.Policy) { s.policy = p }

func (s *heard) SetTLS(*tls.Config) error { return nil }

func (s *heard) SetLimits(l access.RoleLimits) { s.limits = l }

func (s *heard) SetEgress(e tenants.Egress) { s.egress = e }

func (s *heard) SetRetention(tenants.Retention, map[string]tenants.Retention) {}

// TestReloadTrust: a reload does not open a port that other machines reach to all of them, whatever address the
// file names now: the port stays where it is until a restart.
func TestReloadTrust(t *testing.T) {
	for _, tt := range []struct {
		running hostPort
		text    string
		refused bool
	}{
		{"0.0.0.0:6400", "listen = \"127.0.0.1:6400\"\n[auth]\nmethod = \"trust\"\n", true},
		{"0.0.0.0:6400", "[auth]\nmethod = \"trust\"\n", true},
		{"127.0.0.1:6400", "listen = \"0.0.0.0:6400\"\n[auth]\nmethod = \"trust\"\n", true},
		{"127.0.0.1:6400", "listen = \"127.0.0.1:6400\"\n[auth]\nmethod = \"trust\"\n", false},
		{"0.0.0.0:6400", "listen = \"127.0.0.1:6400\"\n[auth]\nmethod = \"scram\"\n", false},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{configFile: "pageserver = \"" + string(tt.running) + "\"\n", serverFile: tt.text} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		server := &heard{}
		r := &reloader{e: &environ{workdir: dir, out: io.Discard, err: io.Discard}, log: slog.New(slog.DiscardHandler), level: new(slog.LevelVar),
			current: serverConfig{Listen: tt.running}, server: server}
		err := r.reload(server)
		if refused := err != nil; refused != tt.refused || refused == (server.policy != nil) {
			t.Errorf("port %s, file %q: %v, policy %+v", tt.running, tt.text, err, server.policy)
		}
	}
}

// TestReload: what a running page server takes in at SIGHUP, and what it says it does not.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	var said bytes.Buffer
	socket, err := listenSocket(dir, socketOfOwner)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	server := &heard{}
	r := &reloader{e: &environ{workdir: dir, out: io.Discard, err: io.Discard}, log: slog.New(slog.NewTextHandler(&said, nil)), level: new(slog.LevelVar),
		current: serverConfig{MaxLag: "1MB"}, server: server, doors: listeners{socket}}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(configFile, "pageserver = \".s.PGSQL.6400\"\n")
	write(serverFile, "max_lag = \"2MB\"\nlog_level = \"debug\"\n[egress]\npush = [\"10.0.0.0/8\"]\n[limits.reader]\ncommands = 7\n[auth.accounts]\n0 = \"reader\"\n")
	if err := r.reload(server); err != nil {
		t.Fatal(err)
	}
	own, far := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("192.0.2.1")
	if push := server.egress.Push; !push.Allows("", own) || push.Allows("", far) || server.egress.Receive.Explicit() {
		t.Errorf("egress: %+v", server.egress)
	}
	if got, want := server.limits[access.Reader], (access.Limits{Commands: 7, Streams: 50, Memory: 64 << 20}); got != want || server.limits[access.Admin] != access.DefaultLimits[access.Admin] {
		t.Errorf("limits: %+v", server.limits)
	}
	info, err := os.Stat(filepath.Join(dir, ownSocket))
	if err != nil || info.Mode().Perm() != socketOfAll {
		t.Errorf("another account is let in, and the socket: %v, %v", info, err)
	}
	if r.level.Level() != slog.LevelDebug || !strings.Contains(said.String(), "needs_restart=max_lag") {
		t.Errorf("level %v, log: %s", r.level, said.String())
	}
	write(serverFile, "[limits.reader]\ncommands = 0\n")
	if err := r.reload(server); err == nil || !strings.Contains(err.Error(), serverFile+":2: ") || server.limits[access.Reader].Commands != 7 {
		t.Errorf("a limit of nothing: %v, %+v", err, server.limits)
	}
}
