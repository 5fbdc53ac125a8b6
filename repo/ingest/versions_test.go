package ingest

import (
	"testing"

	"zenith/internal/pgtest"
)

func TestVersions(t *testing.T) {
	pgtest.EachVersion(t, func(major int) bool { return major < len(versions) && versions[major] != nil })
}
