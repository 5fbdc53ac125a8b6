package postgres

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

var quiet = slog.New(slog.DiscardHandler)

// TestAccountsOfTenants gives all ids of a small range, each once, and the same again to who asks again.
func TestAccountsOfTenants(t *testing.T) {
	parent, r := t.TempDir(), AccountRange{First: 71000, Count: 5}
	had := map[int]string{}
	dir := func(n int) string { return filepath.Join(parent, fmt.Sprint(n)) }
	for n := range 6 {
		if err := os.Mkdir(dir(n), 0o700); err != nil {
			t.Fatal(err)
		}
		a, err := r.Of(dir(n), dir(n), quiet)
		if n == r.Count {
			if err == nil {
				t.Errorf("a sixth id of five: %d", a.UID)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if a.UID < r.First || a.UID >= r.First+r.Count || a.GID != a.UID || len(a.groups) != 0 {
			t.Errorf("got %+v", a)
		}
		if other := had[a.UID]; other != "" {
			t.Errorf("%s and %s have the same id %d", dir(n), other, a.UID)
		}
		had[a.UID] = dir(n)
	}
	for n := range r.Count {
		if a, err := r.Of(dir(n), "another key", quiet); err != nil || had[a.UID] != dir(n) {
			t.Errorf("%s has %d now, %v", dir(n), a.UID, err)
		}
	}
	// A damaged file costs the id, nothing else.
	if err := os.WriteFile(filepath.Join(dir(0), accountName), []byte(`{"uid":0}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := r.Of(dir(0), dir(0), quiet); err != nil || a.UID < r.First {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestAccountRange(t *testing.T) {
	for _, bad := range []AccountRange{{First: 1}, {First: 999}, {First: -1}, {First: 1000, Count: -1}, {First: 1<<31 - 1}} {
		if err := bad.Check(); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if err := (AccountRange{}).Check(); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]bool{
		"         0          0 4294967295\n": true,
		"0 100000 65536\n":                   false,
		"0 0 1\n1 100000 89999\n":            true,
		"0 0 1\n1 100000 70000\n":            false,
		"":                                   false,
	} {
		path := filepath.Join(t.TempDir(), "map")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := mapped(path, AccountRange{}.orDefault()); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
