package pgtest

import (
	"testing"

	"zenith/internal/pg"
)

// EachVersion fails for a supported major version that a package has no table for. A
// version is not supported before all packages have theirs: what looks a record up does not
// ask.
func EachVersion(tb testing.TB, has func(v *pg.Version) bool) {
	tb.Helper()
	for _, v := range pg.Versions {
		if !has(v) {
			tb.Errorf("there is no table for %v", v)
		}
	}
}
