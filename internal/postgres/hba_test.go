package postgres

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/api"
)

// memoryFiles are the files of a data directory in memory.
type memoryFiles map[string]string

func (m memoryFiles) ReadFile(name string) ([]byte, error) {
	text, there := m[name]
	if !there {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

func (m memoryFiles) List(dir string) (names []string, err error) {
	for name := range m {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	return names, nil
}

// gateFiles writes the files of a gate and gives their texts.
func gateFiles(t *testing.T, g Gate, files DataFiles) (hba, ident string) {
	t.Helper()
	g.Dir, g.DataDir = t.TempDir(), "/data"
	settings, _, err := g.Settings(files)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, s := range settings {
		text, err := os.ReadFile(s.Value)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts[0], texts[1]
}

// TestGateTrustsNobodyOverTCP takes a pg_hba.conf in which each way of writing a line lets people in.
func TestGateTrustsNobodyOverTCP(t *testing.T) {
	files := memoryFiles{
		"pg_hba.conf": "# host all all all trust\n" +
			"local all all trust\nlocal x all peer\nlocal y all peer map=m\n" +
			"host all all 127.0.0.1/32 trust\n" +
			"host all all 10.0.0.0 255.0.0.0 trust\n" +
			"hostssl all all samenet trust clientcert=verify-full\n" +
			"hostnossl \"all\" all \\\n ::1/128   trust # a remark\n" +
			"host a, b @admins .example.com trust\n" +
			"host all trust all md5\n" + // a user of that name
			"host all all all \"trust\"\n" +
			"\"host\" all all all tr\"us\"t\n" +
			"include more.conf\ninclude_dir d\n",
		"more.conf":     "host all all all trust\n",
		"d/x.conf":      "host x all all trust\n",
		"d/y":           "host y all all trust\n",
		"pg_ident.conf": "m root app\n",
	}
	hba, ident := gateFiles(t, Gate{Account: testAccount(t), Own: true}, files)
	var trusted []string
	for line := range strings.Lines(hba) {
		words := hbaWords(line)
		if n := 0; len(words) > 0 && words[0] != "local" {
			if n = methodIn(words); unquoteWord(words[n]) == "trust" {
				trusted = append(trusted, line)
			}
		}
	}
	if len(trusted) > 0 {
		t.Errorf("let in without a password: %q\n%s", trusted, hba)
	}
	for _, want := range []string{
		"local all all trust\n", "local x all scram-sha-256\n", "local y all peer map=m\n", "host all all 10.0.0.0 255.0.0.0 scram-sha-256\n", "hostssl all all samenet scram-sha-256\n",
		"host a,b @/data/admins .example.com scram-sha-256\n", "host all trust all md5\n", "host x all all scram-sha-256\n",
	} {
		if !strings.Contains(hba, want) {
			t.Errorf("no line %q in\n%s", want, hba)
		}
	}
	if strings.Contains(hba, "host y") || !strings.Contains(ident, "m root app\n") {
		t.Errorf("%s\n%s", hba, ident)
	}
}

// TestLinesOverTCP takes lines that let people in who prove nothing, as PostgreSQL reads them, and lines that stay.
func TestLinesOverTCP(t *testing.T) {
	const scram = "host all all all scram-sha-256\n"
	for line, want := range map[string]string{
		"host all all all , trust":                scram,
		"host all all all ,trust":                 scram,
		"host all all all trust,":                 scram,
		"host all all all trust, # a remark":      scram,
		", host all all all trust":                scram,
		",host ,all , all ,,all ,\ttrust":         scram,
		"host all all all \"trust":                scram,
		"host all all all @file":                  scram,
		"host all all all ident":                  scram,
		"host all all all ident map=m":            scram,
		"host all all all peer":                   scram,
		"host all all all password":               scram,
		"host all all all md5,trust":              scram,
		"host all all all sometime":               scram,
		"host all all 10.0.0.0 255.0 trust":       "host all all 10.0.0.0 scram-sha-256\n", // PostgreSQL says that this is no mask
		"host @empty all all md5 trust":           "host @/data/empty all all scram-sha-256\n",
		"\"\" host all all all trust":             "\"\" host all all all trust\n", // no type
		"\"host all\" all all trust":              "\"host all\" all all trust\n",
		"@type all all all trust":                 "\"@type\" all all all trust\n",
		"include,x /data/other.conf":              "\"include,x\" /data/other.conf\n",
		"host all all all md5":                    "host all all all md5\n",
		"hostssl all all all cert map=m":          "hostssl all all all cert map=m\n",
		"host all all 10.0.0.0/8 , reject":        "host all all 10.0.0.0/8 reject\n",
		"host a, b c all ldap ldapserver=\"x y\"": "host a,b c all ldap ldapserver=\"x y\"\n",
		"hostgssenc all all all gss krb_realm=X":  "hostgssenc all all all gss krb_realm=X\n",
		"host all all all radius":                 "host all all all radius\n",
		"host all all all pam":                    "host all all all pam\n",
		"local all all , trust":                   "local all all trust\n",
		"local all all ,peer":                     "local all all scram-sha-256\n",
	} {
		hba, _ := gateFiles(t, Gate{Account: testAccount(t), Own: true}, memoryFiles{"pg_hba.conf": line + "\n"})
		own := hba[strings.LastIndex(strings.TrimSuffix(hba, "\n"), "\n")+1:]
		if own != want {
			t.Errorf("%q became %q, want %q", line, own, want)
		}
	}
}

func TestGateOfAnOpenSocket(t *testing.T) {
	files := memoryFiles{"pg_hba.conf": "local all all trust\nlocal all all ,trust\nlocal all all @trust\nlocal @empty all peer trust\nhost all all all trust\n"}
	if hba, _ := gateFiles(t, Gate{Account: testAccount(t), Own: true, OpenSocket: true}, files); strings.Contains(hba, "trust") {
		t.Error(hba)
	}
}

func TestGateOfACopy(t *testing.T) {
	files := memoryFiles{"pg_hba.conf": "local all all trust\nhost all all all trust\n"}
	hba, ident := gateFiles(t, Gate{Account: testAccount(t)}, files)
	if strings.Contains(hba, "trust") || !strings.Contains(hba, "host all all all scram-sha-256\n") {
		t.Error(hba)
	}
	if !strings.Contains(hba, `local all "postgres" peer map=`+ownerMap) || !strings.Contains(ident, ownerMap+` "root" "postgres"`) {
		t.Errorf("%s\n%s", hba, ident)
	}
}

func TestGateReadsTheConfiguredFile(t *testing.T) {
	files := memoryFiles{"pg_hba.conf": "host wrong all all md5\n", "other.conf": "host right all all md5\n"}
	g := Gate{Account: testAccount(t), Own: true, Contained: []api.Setting{{Name: "hba_file", Value: "/data/other.conf"}}}
	if hba, _ := gateFiles(t, g, files); !strings.Contains(hba, "right") || strings.Contains(hba, "wrong") {
		t.Error(hba)
	}
}

func TestSocketDirOfALongPath(t *testing.T) {
	for _, dir := range []string{"/srv/" + strings.Repeat("x", 120), "/srv/with,comma", `/srv/with"quote`} {
		if at := SocketDir(dir); len(at) > maxSocketDir || strings.ContainsAny(at, `,"'`) || at == SocketDir(dir+"2") {
			t.Errorf("%s: %s", dir, at)
		}
	}
	if at := SocketDir("/srv/w"); at != "/srv/w/run" {
		t.Error(at)
	}
}

// TestKeyThatTheAccountMayNotRead: TLS is turned off, and said.
func TestKeyThatTheAccountMayNotRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an ordinary user's servers have that user's files")
	}
	key := filepath.Join(testDir(t), "key")
	if err := os.WriteFile(key, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	files := memoryFiles{"postgresql.conf": "ssl=on\nssl_key_file='" + key + "'\n"}
	g := Gate{Dir: t.TempDir(), DataDir: "/data", Account: AccountRange{}.Any()}
	settings, note, err := g.Settings(files)
	if err != nil || note == "" || settings[0] != (api.Setting{Name: "ssl", Value: "off"}) {
		t.Errorf("%v, %q, %v", settings, note, err)
	}
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, note, err := g.Settings(files); err != nil || note != "" {
		t.Errorf("%q, %v", note, err)
	}
}
