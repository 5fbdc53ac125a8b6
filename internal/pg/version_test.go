package pg_test

import (
	"testing"

	"zenith/internal/pg"
)

func TestVersions(t *testing.T) {
	for _, v := range pg.Versions {
		if got, ok := pg.ByMajor(v.Major); !ok || got != v {
			t.Errorf("ByMajor(%d) is %v, %v", v.Major, got, ok)
		}
		if got, ok := pg.ReleaseByMagic(v.WALMagic); !ok || got != v.Release {
			t.Errorf("ReleaseByMagic(%04X) is %v, %v; want %v", v.WALMagic, got, ok, v)
		}
	}
	if v, ok := pg.ByMajor(12); ok {
		t.Errorf("got %v, which is not supported", v)
	}
	if r, ok := pg.ReleaseByMagic(0xD101); !ok || r.String() != "PostgreSQL 12" {
		t.Errorf("magic D101 is %v, %v; want PostgreSQL 12", r, ok)
	}
	if r, ok := pg.ReleaseByMagic(0xBEEF); ok {
		t.Errorf("magic BEEF is %v", r)
	}
}
