package rmgrdesc

import (
	"testing"

	"zenith/internal/pg"
)

// TestVersions sees that there is a table for each version that package pg has.
func TestVersions(t *testing.T) {
	for _, v := range pg.Versions {
		if v.Major >= len(versions) || versions[v.Major] == nil {
			t.Errorf("%v has no table", v)
		}
	}
}
