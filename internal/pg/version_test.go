package pg_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"zenith/internal/pg"
)

func TestVersions(t *testing.T) {
	for _, v := range pg.Versions {
		for name, find := range map[string]func() (*pg.Version, error){
			"ByMajor":       func() (*pg.Version, error) { return pg.ByMajor(v.Major) },
			"ByStoredMajor": func() (*pg.Version, error) { return pg.ByStoredMajor(v.Major) },
			"ParseMajor":    func() (*pg.Version, error) { return pg.ParseMajor(strconv.Itoa(v.Major)) },
			"ParseRelease":  func() (*pg.Version, error) { return pg.ParseRelease(strconv.Itoa(v.Major) + ".1 (Debian)") },
			"a candidate":   func() (*pg.Version, error) { return pg.ParseRelease(strconv.Itoa(v.Major) + "rc1") },
		} {
			if got, err := find(); err != nil || got != v {
				t.Errorf("%s of %v is %v, %v", name, v, got, err)
			}
		}
		if got, ok := pg.ReleaseByMagic(v.WALMagic); !ok || got != v.Release {
			t.Errorf("ReleaseByMagic(%04X) is %v, %v; want %v", v.WALMagic, got, ok, v)
		}
	}
	if v, err := pg.ByStoredMajor(0); err != nil || v != pg.V15 {
		t.Errorf("where no major was stored it is %v, %v; want %v", v, err, pg.V15)
	}
	for _, text := range []string{"12", "0", "", "15.3", "devel"} {
		if v, err := pg.ParseMajor(text); !errors.Is(err, pg.ErrVersion) || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: got %v, %v", text, v, err)
		}
	}
	if r, ok := pg.ReleaseByMagic(0xD101); !ok || r.String() != "PostgreSQL 12" {
		t.Errorf("magic D101 is %v, %v; want PostgreSQL 12", r, ok)
	}
	if r, ok := pg.ReleaseByMagic(0xBEEF); ok {
		t.Errorf("magic BEEF is %v", r)
	}
}
