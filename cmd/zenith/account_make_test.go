package main

import (
	"slices"
	"strings"
	"testing"
)

// TestAccountCommands: each family of systems makes an account by its own programs.
func TestAccountCommands(t *testing.T) {
	for _, c := range []struct {
		has   string
		group bool
		want  string
	}{
		{"useradd adduser addgroup", false, "useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin zenith"},
		{"useradd", true, "useradd --system --gid zenith --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin zenith"},
		{"adduser addgroup", false, "addgroup -S zenith; adduser -S -D -H -h /nonexistent -s /sbin/nologin -G zenith zenith"},
		{"adduser addgroup", true, "adduser -S -D -H -h /nonexistent -s /sbin/nologin -G zenith zenith"},
		{"adduser", false, ""},
		{"", false, ""},
	} {
		var got []string
		for _, command := range accountCommands("zenith", c.group, func(p string) bool { return slices.Contains(strings.Fields(c.has), p) }) {
			got = append(got, strings.Join(command, " "))
		}
		if got := strings.Join(got, "; "); got != c.want {
			t.Errorf("with %q, group %v: got %q, want %q", c.has, c.group, got, c.want)
		}
	}
}
