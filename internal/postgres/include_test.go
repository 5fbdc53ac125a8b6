package postgres

import (
	"slices"
	"testing"
)

func TestMissingIncludes(t *testing.T) {
	files := mapFiles{
		"postgresql.conf": "include 'there.conf'\ninclude 'gone.conf'\ninclude_if_exists 'maybe.conf'\n" +
			"include_dir 'conf.d'\ninclude_dir = 'nowhere.d'\n#include '/not/this.conf'\nwork_mem = 4MB\n",
		"there.conf":     "Include = '/etc/pg/site.conf'\ninclude_if_exists '../up.conf'\n",
		"conf.d/a.conf":  "include 'b.inc' # relative to conf.d\ninclude_dir '/etc/pg/conf.d'\n",
		"conf.d/b.inc":   "work_mem = '5MB'\n",
		"unrelated.conf": "include '/nobody/reads/this'\n",
	}
	got, err := MissingIncludes(files)
	want := []Include{
		{"conf.d/a.conf", "/etc/pg/conf.d"}, {"postgresql.conf", "gone.conf"}, {"postgresql.conf", "nowhere.d"},
		{"there.conf", "/etc/pg/site.conf"}, {"there.conf", "../up.conf"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}
