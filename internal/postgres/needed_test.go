package postgres

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// mapFiles are DataFiles by their paths.
type mapFiles map[string]string

func (m mapFiles) ReadFile(name string) ([]byte, error) {
	text, ok := m[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

func (m mapFiles) List(dir string) (names []string, err error) {
	for _, p := range slices.Sorted(maps.Keys(m)) {
		if path.Dir(p) == dir {
			names = append(names, path.Base(p))
		}
	}
	return names, nil
}

func TestConfigValues(t *testing.T) {
	files := mapFiles{
		"postgresql.conf": `# a comment
max_connections = 20	# another
Work_Mem '5 MB'
search_path='a,''b\'c'  # three
  shared_buffers	=128MB
empty =
jit=on
include 'more/a.conf'
include_if_exists = 'none.conf'
include_dir 'conf.d'
include '/etc/passwd'
include '../outside'
include_dir '/etc'
broken
`,
		"more/a.conf":          "include 'b.conf'\njit=off\n",
		"more/b.conf":          "wal_level=logical\ninclude 'b.conf'\n",
		"conf.d/2.conf":        "x.y = 2",
		"conf.d/10.conf":       "x.y = 1\nfsync=off",
		"conf.d/.hidden.conf":  "fsync=hidden",
		"conf.d/other":         "fsync=other",
		"postgresql.auto.conf": "max_connections = '30'\n",
		"../outside":           "fsync=outside",
	}
	got, err := configValues(files)
	want := map[string]string{
		"max_connections": "30", "work_mem": "5 MB", "search_path": "a,'b'c", "shared_buffers": "128MB",
		"jit": "off", "wal_level": "logical", "x.y": "2", "fsync": "off",
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got  %v, %v\nwant %v", got, err, want)
	}
}

// TestNeeded: room for prepared transactions is made where neither the configuration nor the user does.
func TestNeeded(t *testing.T) {
	had := pg.ControlSettings{MaxConnections: 100, MaxPreparedXacts: 5, MaxLocksPerXact: 64}
	for _, c := range []struct {
		name, conf string
		had        pg.ControlSettings
		prepared   []string
		user       map[string]string
		want, note string
	}{
		{name: "no prepared transaction", had: had},
		{name: "one, and no configuration", had: had, prepared: []string{"0000030A"}, want: "max_prepared_transactions=5", note: "a prepared"},
		{name: "more than pg_control knows of", prepared: []string{"0000030A", "0000030B"}, want: "max_prepared_transactions=2", note: "2 prepared"},
		{name: "enough in the configuration", had: had, prepared: []string{"0000030A"}, conf: "max_prepared_transactions = 7"},
		{name: "no number in the configuration", had: had, prepared: []string{"0000030A"}, conf: "max_prepared_transactions = many"},
		{name: "the user's", had: had, prepared: []string{"0000030A"}, user: map[string]string{"max_prepared_transactions": "1"}},
		{name: "locks", had: pg.ControlSettings{MaxConnections: 200, MaxPreparedXacts: 5, MaxLocksPerXact: 128}, prepared: []string{"0000030A"},
			conf: "max_connections=50\nmax_prepared_transactions=5\n", want: "max_connections=200 max_locks_per_transaction=128", note: "a prepared"},
	} {
		files := mapFiles{"postgresql.conf": c.conf}
		for _, p := range c.prepared {
			files["pg_twophase/"+p] = ""
		}
		got, note, err := Needed(files, c.had, c.user)
		if err != nil || !strings.HasPrefix(note, c.note) || (note == "") != (c.note == "") || settingsText(got) != c.want {
			t.Errorf("%s: got %q, %q, %v; want %q, %q", c.name, settingsText(got), note, err, c.want, c.note)
		}
	}
}

func settingsText(list []api.Setting) string {
	words := []string{}
	for _, s := range list {
		words = append(words, s.Name+"="+s.Value)
	}
	return strings.Join(words, " ")
}
