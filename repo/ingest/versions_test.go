package ingest

import (
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
)

func TestVersions(t *testing.T) {
	pgtest.EachVersion(t, func(v *pg.Version) bool { return versions.Of(v) != nil })
}
