package tenants

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"zenith/fusefs"
	"zenith/repo/store"
)

// TestHeapLimit: the limit follows stores and mounts up to the bound, and is never below what was asked for.
func TestHeapLimit(t *testing.T) {
	const target, far = 600 << 20, math.MaxInt64
	for _, c := range []struct {
		name           string
		bound          int64
		stores, mounts int
		want           int64
	}{
		{"nothing is open", far, 0, 0, target},
		{"a store and 100 mounts", far, 1, 100, target + store.Reserve + 100*fusefs.Reserve()},
		{"up to the bound", 700 << 20, 1, 1000, 700 << 20},
		{"a bound below the target", 100 << 20, 1, 1000, target},
	} {
		if got := heapLimit(target, c.bound, c.stores, c.mounts); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestControlGroupBound: the least bound of a control group and those above it counts.
func TestControlGroupBound(t *testing.T) {
	root := t.TempDir()
	write := func(group, text string) {
		dir := filepath.Join(root, group)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "memory.max"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "1000000\n")
	write("a/b", "max\n")
	write("a/b/c", "2000000\n")
	write("d", "max\n")
	for self, want := range map[string]int64{
		"0::/a/b/c\n":            1000000,
		"4:memory:/x\n0::/a\n":   1000000,
		"0::/d\n":                math.MaxInt64,
		"0::/\n":                 math.MaxInt64,
		"4:memory:/a\n":          math.MaxInt64,
		"0::/a/gone/meanwhile\n": 1000000,
	} {
		if got := controlGroupBound(root, self); got != want {
			t.Errorf("%q: %d, want %d", self, got, want)
		}
	}
}
