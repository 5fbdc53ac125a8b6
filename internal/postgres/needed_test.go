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
		physical   int
		logical    int
		user       map[string]string
		branch     bool
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
		{name: "a physical slot", physical: 1},
		{name: "a logical slot", logical: 1, want: "wal_level=logical", note: "a replication slot"},
		{name: "slots, and a configuration without", physical: 1, logical: 2, conf: "wal_level=minimal\nmax_wal_senders=0\nmax_replication_slots=2\n",
			want: "wal_level=logical max_replication_slots=3 max_wal_senders=3", note: "3 replication slots are"},
		{name: "a physical slot without its WAL", physical: 1, conf: "wal_level=minimal\nmax_wal_senders=0\n", want: "wal_level=replica max_wal_senders=1", note: "a replication"},
		{name: "a logical slot, and the user's level", logical: 1, user: map[string]string{"wal_level": "replica"}},
		{name: "a logical slot that is configured for", logical: 1, conf: "wal_level = 'Logical'"},
		{name: "commit timestamps", had: pg.ControlSettings{TrackCommitTimestamp: true}, want: "track_commit_timestamp=on", note: "commit timestamps are"},
		{name: "a branch", branch: true},
		{name: "a branch of a cluster with little WAL", branch: true, conf: "wal_level = 'Minimal'", want: "wal_level=replica", note: "a branch is made from WAL"},
		{name: "a branch, and the user's level", branch: true, conf: "wal_level=minimal", user: map[string]string{"wal_level": "minimal"}},
		{name: "a copy of one with little WAL", conf: "wal_level=minimal"},
		{name: "direct I/O", user: map[string]string{"debug_io_direct": "data, WAL_init"}, want: "wal_init_zero=on", note: "new segments"},
		{name: "direct I/O that is configured", conf: "debug_io_direct = 'wal,wal_init'", branch: true, want: "wal_init_zero=on", note: "new segments"},
		{name: "direct I/O that the user turns off", conf: "debug_io_direct = 'wal_init'", user: map[string]string{"debug_io_direct": ""}},
		{name: "direct I/O of pages and WAL", user: map[string]string{"debug_io_direct": "data, wal"}},
		{name: "commit timestamps that are turned off", had: pg.ControlSettings{TrackCommitTimestamp: true}, conf: "track_commit_timestamp = off"},
	} {
		files := mapFiles{"postgresql.conf": c.conf}
		for _, p := range c.prepared {
			files["pg_twophase/"+p] = ""
		}
		got, note, err := Needed(State{files, c.had, c.physical, c.logical, c.branch}, c.user)
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
