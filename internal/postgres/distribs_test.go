package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// install writes an installation whose postgres only says its version.
func install(t *testing.T, dir, version string) string {
	t.Helper()
	bin := filepath.Join(dir, "bin")
	script := fmt.Sprintf("#!/bin/sh\necho x >>%s\necho 'postgres (PostgreSQL) %s'\n", filepath.Join(dir, "asked"), version)
	err := errors.Join(os.MkdirAll(bin, 0o755), os.RemoveAll(filepath.Join(bin, "postgres")), os.WriteFile(filepath.Join(bin, "postgres"), []byte(script), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// noPlaces hides this machine's own installations.
func noPlaces(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	before := places
	places = []string{filepath.Join(root, "pg%s")}
	t.Cleanup(func() { places = before })
	t.Setenv("PATH", "/usr/bin:/bin") // of the scripts, too
	return root
}

// TestDistribRules: the first rule that gives an installation counts; what is set must be right.
func TestDistribRules(t *testing.T) {
	root := noPlaces(t)
	placed := install(t, filepath.Join(root, fmt.Sprintf("pg%d", pg.V15.Major)), "15.20 (Debian 15.20-0)")
	other := install(t, filepath.Join(root, "other"), "15.4")
	old := install(t, filepath.Join(root, "old"), "12.1")
	odd := install(t, filepath.Join(root, "odd"), "150.1")
	inPath := install(t, filepath.Join(root, "path"), "15.3")
	for _, c := range []struct {
		what string
		set  DistribSettings
		want string // directory, or what the error says
	}{
		{"nothing is set", DistribSettings{}, placed},
		{"the default one is", DistribSettings{Default: other}, other},
		{"the default one is of another version", DistribSettings{Default: odd}, placed},
		{"that of the version is", DistribSettings{Default: placed, ByMajor: map[string]string{"15": other}}, other},
		{"that of another version is", DistribSettings{ByMajor: map[string]string{"17": old}}, placed},
		{"that of the version is another", DistribSettings{ByMajor: map[string]string{"15": old}}, "pg_distribs.15: " + old + " is PostgreSQL 12.1"},
		{"that of the version is gone", DistribSettings{ByMajor: map[string]string{"15": root}}, "pg_distribs.15: " + root + ": no bin/postgres there"},
		{"the default one is gone", DistribSettings{Default: root}, "pg_distrib: " + root + ": no bin/postgres there"},
	} {
		d, err := NewDistribs(c.set).For(t.Context(), pg.V15)
		got := d.Dir
		if err != nil {
			got = err.Error()
		}
		if got != c.want || d.Version != pg.V15 {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
	if err := os.RemoveAll(placed); err != nil {
		t.Fatal(err)
	}
	_, err := NewDistribs(DistribSettings{}).For(t.Context(), pg.V15)
	if !errors.Is(err, api.ErrNotFound) || !strings.Contains(err.Error(), "pg_distribs.15") {
		t.Errorf("none is there: %v", err)
	}
	t.Setenv("PATH", inPath+"/bin:/usr/bin:/bin")
	if d, err := NewDistribs(DistribSettings{}).For(t.Context(), pg.V15); err != nil || d.Dir != inPath {
		t.Errorf("one is in PATH: %+v, %v", d, err)
	}
}

// TestDefaultDistrib: a new cluster is of the newest final release, unless something is set.
func TestDefaultDistrib(t *testing.T) {
	root := noPlaces(t)
	newest := pg.Versions[len(pg.Versions)-1]
	dir := install(t, filepath.Join(root, fmt.Sprintf("pg%d", newest.Major)), fmt.Sprintf("%drc1", newest.Major))
	ds := NewDistribs(DistribSettings{})
	if d, err := ds.Default(t.Context()); err != nil || d.Dir != dir || d.Version != newest {
		t.Errorf("only a release candidate is there: %+v, %v", d, err)
	}
	if len(pg.Versions) > 1 {
		before := pg.Versions[len(pg.Versions)-2]
		final := install(t, filepath.Join(root, fmt.Sprintf("pg%d", before.Major)), fmt.Sprintf("%d.3", before.Major))
		if d, err := ds.Default(t.Context()); err != nil || d.Dir != final {
			t.Errorf("a release candidate and an older release: %+v, %v", d, err)
		}
	}
	install(t, dir, fmt.Sprintf("%d.0", newest.Major))
	if d, err := ds.Default(t.Context()); err != nil || d.Dir != dir {
		t.Errorf("the release candidate was upgraded: %+v, %v", d, err)
	}
	old := install(t, filepath.Join(root, "old"), "12.1")
	for _, c := range []struct{ dir, want string }{
		{old, "is PostgreSQL 12.1, zenith knows"},
		{install(t, filepath.Join(root, "odd"), "150.1"), "is PostgreSQL 150.1"},
		{root, "no bin/postgres"},
	} {
		set := NewDistribs(DistribSettings{Default: c.dir})
		_, err := set.Default(t.Context())
		for _, err := range []error{err, set.Check(t.Context())} {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s is set: got %v, want %q", c.dir, err, c.want)
			}
		}
	}
	for major, want := range map[string]string{"12": "12", "x": `"x"`, fmt.Sprint(newest.Major): "is PostgreSQL 12.1"} {
		if err := NewDistribs(DistribSettings{ByMajor: map[string]string{major: old}}).Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("pg_distribs.%s is set: got %v, want %q", major, err, want)
		}
	}
}

// TestDistribIsAskedOnce: a postgres is run for its version once, and again when its file has changed.
func TestDistribIsAskedOnce(t *testing.T) {
	dir := install(t, noPlaces(t), "15.4")
	ds := NewDistribs(DistribSettings{Default: dir})
	mustFind := func(release string, asked int) {
		t.Helper()
		list := ds.List(t.Context())
		log, err := os.ReadFile(filepath.Join(dir, "asked"))
		if err != nil || len(list) != 1 || list[0].Release != release || !list[0].Default || strings.Count(string(log), "x") != asked {
			t.Errorf("got %+v, asked %q, %v; want %s, asked %d times", list, log, err, release, asked)
		}
	}
	mustFind("15.4", 1)
	mustFind("15.4", 1)
	install(t, dir, "15.20")
	mustFind("15.20", 2)
}

// TestDistribList: what is wrong with a setting is in the list.
func TestDistribList(t *testing.T) {
	root := noPlaces(t)
	if list := NewDistribs(DistribSettings{}).List(t.Context()); len(list) != 0 {
		t.Errorf("without any: %+v", list)
	}
	list := NewDistribs(DistribSettings{ByMajor: map[string]string{"15": root}}).List(t.Context())
	if len(list) != 1 || list[0].Major != 15 || !strings.Contains(list[0].Problem, "no bin/postgres") || list[0].Default {
		t.Errorf("a setting that leads nowhere: %+v", list)
	}
}

// TestReadRelease reads what programs say that are no postgres.
func TestReadRelease(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(install(t, dir, "15.4"), "bin", "postgres")
	for script, want := range map[string]string{"#!/bin/sh\necho hello\n": `says "hello"`, "#!/bin/sh\nexit 1\n": "--version: exit status 1", "": "--version"} {
		if err := os.WriteFile(binary, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		if r, err := readRelease(t.Context(), dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v; want %q", script, r, err, want)
		}
	}
	for name, major := range map[string]string{"15.20": "15", "19rc1": "19", "20devel": "20"} {
		r, err := readRelease(t.Context(), install(t, dir, name+" (Debian)"))
		if err != nil || r.name != name || r.major != major || r.isFinal() != (name == "15.20") {
			t.Errorf("%s: got %+v, %v", name, r, err)
		}
	}
}
