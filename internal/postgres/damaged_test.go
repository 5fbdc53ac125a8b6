package postgres

import (
	"errors"
	"os"
	"strings"
	"testing"

	"zenith/internal/api"
	"zenith/internal/sidefile"
)

// TestDamagedCopy: a copy.toml that is empty, cut short or garbage costs the copy's port and
// settings. The copy and all others are listed, and it can have new ones; the file is kept.
func TestDamagedCopy(t *testing.T) {
	const tenant, point = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "main@0/16B3748"
	cs := &Copies{dir: t.TempDir(), as: func(string) (Account, error) { return testAccount(t), nil }}
	for _, name := range []string{"dev", point} {
		c := &Copy{cs: cs, dir: cs.path(tenant, name), saved: newCopy(Source{Tenant: tenant, Point: name, Timeline: "t", LSN: 0x16B3748})}
		if err := os.MkdirAll(c.dataDir(), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := c.Set(api.ComputeOptions{Port: 5999, Settings: []api.Setting{{Name: "jit", Value: "off"}}}); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile((&Copy{dir: cs.path(tenant, point)}).tomlPath())
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 3 {
		content := whole[:min(n, len(whole)-1)]
		if n >= len(whole) {
			content = [][]byte{[]byte("{"), make([]byte, 99), []byte("Tenant = \"a\"\n")}[n-len(whole)]
		}
		testDamagedCopy(t, cs, tenant, point, content)
	}
}

func testDamagedCopy(t *testing.T, cs *Copies, tenant, point string, content []byte) {
	t.Helper()
	path := (&Copy{dir: cs.path(tenant, point)}).tomlPath()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := cs.List(tenant)
	if err != nil || len(list) != 2 {
		t.Fatalf("%q: got %d copies, %v", content, len(list), err)
	}
	dev, derr := list[0].Describe()
	other, oerr := list[1].Describe()
	if derr != nil || oerr != nil || dev.Name != "dev" || dev.Status != api.ComputeStopped || dev.Port != 5999 ||
		other.Name != point || other.Status != api.ComputeDamaged || other.Port != 0 {
		t.Errorf("%q: got %+v, %v and %+v, %v", content, dev, derr, other, oerr)
	}
	c, err := cs.Find(tenant, point)
	if err != nil {
		t.Fatal(err)
	}
	var damage *sidefile.Damage
	if !errors.As(c.Damage(), &damage) || damage.Path != path {
		t.Errorf("%q: got %v", content, c.Damage())
	}
	if err := c.Set(api.ComputeOptions{Port: 5998, Settings: []api.Setting{{Name: "jit", Value: "on"}}}); err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(path + ".damaged-1"); err != nil || string(kept) != string(content) {
		t.Errorf("%q: it was not moved aside: %q, %v", content, kept, err)
	}
	c, err = cs.Find(tenant, point)
	if err != nil || c.Damage() != nil || c.saved.Port != 5998 || c.saved.Settings["jit"] != "on" {
		t.Errorf("%q: got %+v, %v", content, c, err)
	}
	if err := os.Remove(path + ".damaged-1"); err != nil {
		t.Error(err)
	}
}

// TestServerName: the name of a server whose file is damaged follows from that of its directory.
func TestServerName(t *testing.T) {
	dirs := map[string]string{}
	for _, name := range []string{"main", "a_b", "a/b", "a~b", "a~/b", "feature/log/in", "main@0/16B3748", "a_b@16/B374D848", "a/b@16/B374D848", "main@-10m",
		"a_b@2026-01-02T03:04:05Z", "@"} {
		dir := ServerDir(name)
		if got := ServerName(dir); got != name || strings.Contains(dir, "/") {
			t.Errorf("%s: got %s of %s", name, got, dir)
		}
		if other, taken := dirs[dir]; taken {
			t.Errorf("%s and %s share %s", name, other, dir)
		}
		dirs[dir] = name
	}
	long := strings.Repeat("x~", 150)
	if a, b := ServerDir(long+"a"), ServerDir(long+"b"); a == b || len(a) > 250 || len(b) > 250 {
		t.Errorf("long names share %s, or have %s", a, b)
	}
}
