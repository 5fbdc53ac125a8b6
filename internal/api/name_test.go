package api_test

import (
	"errors"
	"strings"
	"testing"

	"zenith/internal/api"
)

// TestCheckName: what git-check-ref-format allows as the name of a branch, and what it refuses.
func TestCheckName(t *testing.T) {
	for _, name := range []string{"main", "feature/login", "a/b/c", "a/b", "a_b", "bad_cafe", "it's", `a"b`, "v1.2", "Häuser", "15", "2fix", "yesterday",
		"list", "reset", "head", "a-", strings.Repeat("x", 200)} {
		if err := api.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "-x", "--", "*", "a b", "HEAD", "@", "a@b", "a@{1}", ".", "..", "a..b", ".a", "a/.b", "/a", "a/", "a//b", "a.", "a.lock",
		"a.lock/b", "a~", "a^", "a:b", "a?", "[a", `a\b`, "a\tb", "a\nb", "a\x00", "a\x7f", "a\u00a0b", "a\xff", strings.Repeat("x", 201),
		"0/16B3748", "0_16B3748", "A/B", "0123456789abcdef", "2026-11-30", "16:18", "0123456789abcdef0123456789abcdef"} {
		if err := api.CheckName(name); !errors.Is(err, api.ErrBadArgument) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// FuzzCheckName: a name that is allowed is a point of its own, the head of that branch.
func FuzzCheckName(f *testing.F) {
	for _, s := range []string{"main", "feature/x", "a/b", "2026-11-30", "0_1", "-1h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if api.CheckName(s) != nil {
			return
		}
		if p, err := api.ParsePoint(s, now); err != nil || !p.Head() || p.Name != s {
			t.Errorf("%q: %+v, %v", s, p, err)
		}
	})
}
