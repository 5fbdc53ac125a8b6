package main

import (
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
		err := readTOML(path, &c)
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
	if err := readTOML(path, &out); err != nil || !reflect.DeepEqual(out, in) {
		t.Errorf("got %+v, %v, want %+v", out, err, in)
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
