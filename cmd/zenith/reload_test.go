package main

import (
	"crypto/tls"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"zenith/internal/access"
	"zenith/tenants"
)

// heard is a page server that remembers what it was told.
type heard struct{ policy *access.Policy }

func (s *heard) SetAccess(p *access.Policy) { s.policy = p }

func (s *heard) SetTLS(*tls.Config) error { return nil }

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
