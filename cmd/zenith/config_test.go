package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestServerConfigErrorsNameTheLine(t *testing.T) {
	tests := []struct{ text, want string }{ // if want is "", there is no error
		{"listen = \"127.0.0.1:6400\"\npg_distrib = \"/usr\"\n", ""},
		{"# a comment\n\nlissten = \"x\"\n", `:3: unknown key "lissten"`},
		{"listen = \"a:1\"\n[retention]\nlisten = \"7d\"\n", `:3: unknown key "retention.listen"`},
		{"[retention]\ntime = \"7d\"\nbytes = \"10GB\"\ninterval = \"1h\"\n[tenants.0123456789abcdef0123456789abcdef.retention]\ntime = \"1d\"\n", ""},
		{"[retention]\ntime = \"0s\"\n", `:2: retention.time: "0s": want a duration such as 7d or 36h, a second or more`},
		{"[retention]\nbytes = \"7d\"\n", `:2: retention.bytes: "7d": want a size such as 256MB`},
		{"[tenants.x.retention]\ntime = \"1d\"\n", `:1: tenants: "x": want 32 lower-case hex digits`},
		{"pg_user = \"postgres\"\nlisten = 5\n", `:2: listen: `},
		{"listen = \"nonsense\"\n", `:1: listen: "nonsense": want HOST:PORT`},
		{"\nmax_lag = \"many\"\n", `:2: max_lag: "many": want a size such as 256MB`},
		{"log_level = \"loud\"\n", `:1: log_level: "loud": want debug, info, warn or error`},
		{"log_format = \"xml\"\n", `:1: log_format: "xml": want text or json`},
		{"listen = \"a:1\nb\"\n", ":1: "},
		{"listen = \"a:1\"\nlisten = \"b:1\"\n", ":2: "},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), serverFile)
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var c serverConfig
		_, err := readTOML(path, &c)
		if err == nil {
			err = c.checkTenants(path)
		}
		if tt.want == "" {
			if err != nil {
				t.Errorf("%q: %v", tt.text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), path+tt.want) {
			t.Errorf("%q: got %v, want %s", tt.text, err, path+tt.want)
		}
	}
}

func TestConfigRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), serverFile)
	in := serverConfig{Listen: "[::1]:7000", PgDistrib: "/usr/lib/postgresql/15", PgUser: "me", MaxLag: "1GB", Through: true, LogLevel: "debug",
		Retention: retentionConfig{retainConfig{Time: "3d", Bytes: "1GB"}, "10m"}, Tenants: map[string]tenantConfig{"0123456789abcdef0123456789abcdef": {retainConfig{Bytes: "2GB"}}}}
	if err := writeTOML(path, serverNote, &in); err != nil {
		t.Fatal(err)
	}
	var out serverConfig
	if _, err := readTOML(path, &out); err != nil || !reflect.DeepEqual(out, in) {
		t.Errorf("got %+v, %v, want %+v", out, err, in)
	}
}

// TestDamagedConfig: settings of the command line that are empty, cut short or garbage cost the default
// tenant and the remotes, where the work directory has a page server; else there is nothing to go on with.
func TestDamagedConfig(t *testing.T) {
	dir := t.TempDir()
	var stderr strings.Builder
	e := &environ{workdir: dir, err: &stderr}
	server := serverConfig{Listen: "[::1]:7000", PgDistrib: "/usr/lib/postgresql/15", PgUser: "me"}
	cfg := cliConfig{PageServer: "[::1]:7000", TenantID: tenantA, Remotes: map[string]string{"db7": "db7:6400"}}
	config := e.path(configFile)
	if err := errors.Join(writeTOML(e.path(serverFile), serverNote, &server), writeTOML(config, configNote, &cfg)); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.config(); err != nil || got.damage != nil || !reflect.DeepEqual(*got, cfg) {
		t.Fatalf("got %+v, %v", got, err)
	}
	damaged := [][]byte{[]byte("\x00\x00\x00"), []byte("}{"), []byte("pageserver = \n"), []byte("tenantid = \"" + tenantA + "\"\n")}
	for n := range whole {
		damaged = append(damaged, whole[:n])
	}
	check := func(content []byte) error {
		t.Helper()
		if err := os.WriteFile(config, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := e.config()
		if aerr := e.runRemoteAdd("another", "db8:6400"); aerr == nil || !strings.HasPrefix(aerr.Error(), config+":") {
			t.Errorf("%q: remote add: %v", content, aerr)
		}
		if got, rerr := os.ReadFile(config); rerr != nil || !bytes.Equal(got, content) {
			t.Errorf("%q was overwritten by %q, %v", content, got, rerr)
		}
		return err
	}
	for _, content := range damaged {
		if err := check(content); err != nil {
			t.Errorf("%q: %v", content, err)
			continue
		}
		got, _ := e.config()
		want := cliConfig{PageServer: ownSocket, PgDistrib: server.PgDistrib, PgUser: server.PgUser, damage: got.damage}
		if got.damage == nil || !strings.HasPrefix(got.damage.Error(), config+":") || !reflect.DeepEqual(*got, want) {
			t.Errorf("%q: got %+v", content, got)
		}
	}
	e.warnDamage(errors.New("the file"))
	if want := "zenith: the file: the default tenant and the remotes are lost\n"; stderr.String() != want {
		t.Errorf("got %q, want %q", stderr.String(), want)
	}
	if err := os.Remove(e.path(serverFile)); err != nil {
		t.Fatal(err)
	}
	for _, content := range damaged {
		if err := check(content); err == nil || !strings.HasPrefix(err.Error(), config+":") {
			t.Errorf("%q: got %v", content, err)
		}
	}
}

// TestDamagedServerConfig: a page server does not start with settings of which a part is missing: history
// that it was told to keep would be forgotten.
func TestDamagedServerConfig(t *testing.T) {
	e := &environ{workdir: t.TempDir()}
	in := serverConfig{Listen: "[::1]:7000", PgDistrib: "/usr", Retention: retentionConfig{retainConfig{Time: "365d"}, "10m"}}
	path := e.path(serverFile)
	if err := errors.Join(writeTOML(path, serverNote, &in), writeTOML(e.path(configFile), configNote, &cliConfig{PageServer: "[::1]:7000"})); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := e.server(); err == nil || !strings.HasPrefix(err.Error(), path+":") {
			t.Errorf("%q: got %v", whole[:n], err)
		}
	}
}

// TestDamagedAddress: where the page server listens follows from the settings if the file that says so is
// of no use. Commands reach it through the socket in any case.
func TestDamagedAddress(t *testing.T) {
	e := &environ{workdir: t.TempDir()}
	for path, content := range map[string]string{serverFile: "listen = \"a:1\"\n", addrFile: "b:2\n", configFile: "pageserver = \"c:3\"\n"} {
		if err := os.WriteFile(e.path(path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := &cliConfig{PageServer: "c:3"}
	listens := func(want string) {
		t.Helper()
		rows, err := e.whereabouts(cfg)
		if err != nil || len(rows) == 0 || rows[0].Value != want {
			t.Errorf("got %v, %v, want %s", rows, err, want)
		}
	}
	listens("b:2")
	for _, content := range []string{"", "\n", "b", "b:", "\x00\x00"} {
		if err := os.WriteFile(e.path(addrFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		listens("a:1")
	}
	if got, err := e.address(cfg); err != nil || got != e.path(ownSocket) {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestKeyLine(t *testing.T) {
	text := "a = 1\n[t] # note\n  \"b\" = 2\n[t.u]\nc = 3\nd.e = 4\n"
	tests := []struct {
		key  []string
		want int
	}{
		{[]string{"a"}, 1}, {[]string{"t"}, 2}, {[]string{"t", "b"}, 3}, {[]string{"t", "u", "c"}, 5}, {[]string{"t", "u", "d"}, 6}, {[]string{"t", "u", "d", "e"}, 6},
	}
	for _, tt := range tests {
		if got := keyLine(text, tt.key); got != tt.want {
			t.Errorf("%v: got line %d, want %d", tt.key, got, tt.want)
		}
	}
}
