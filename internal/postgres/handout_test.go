package postgres

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dirOf makes a data directory with these files.
func dirOf(t *testing.T, files map[string]string) DirFiles {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return DirFiles(dir)
}

func TestHandOut(t *testing.T) {
	for _, tt := range []struct {
		name     string
		files    map[string]string
		takenOut string
		reaches  string
		changed  map[string]string
	}{
		{
			name:  "nothing leads out",
			files: map[string]string{"postgresql.conf": "work_mem = 1MB\nlogging_collector = on\nlog_directory = 'log'\nhba_file = 'my_hba.conf'\n"},
		},
		{
			name: "the original's files",
			files: map[string]string{
				"postgresql.conf":      "a.b = 1\ndata_directory = '/srv/pg'\n  HBA_FILE '/etc/pg/pg_hba.conf' # x\nident_file='/etc/pg/pg_ident.conf'\n",
				"postgresql.auto.conf": "external_pid_file = '/run/pg.pid'\n", "pg_hba.conf": "local",
			},
			takenOut: "data_directory external_pid_file hba_file ident_file",
			changed: map[string]string{
				"postgresql.conf": "a.b = 1\n# taken out by zenith: data_directory = '/srv/pg'\n# taken out by zenith:   HBA_FILE '/etc/pg/pg_hba.conf' # x\n" +
					"# taken out by zenith: ident_file='/etc/pg/pg_ident.conf'\n",
				"postgresql.auto.conf": "# taken out by zenith: external_pid_file = '/run/pg.pid'\n",
			},
		},
		{
			name: "an access file of its own",
			files: map[string]string{
				"postgresql.conf": "include 'conf.d/access.conf'\n", "conf.d/access.conf": "hba_file='/srv/pg/strict.conf'\n",
				"pg_hba.conf": "all trust", "strict.conf": "all reject",
			},
			takenOut: "hba_file",
			changed:  map[string]string{"conf.d/access.conf": "# taken out by zenith: hba_file='/srv/pg/strict.conf'\n", "pg_hba.conf": "all reject"},
		},
		{
			name: "channels",
			files: map[string]string{"postgresql.conf": "archive_mode=on\narchive_command='cp'\nlogging_collector=on\nlog_directory='/var/log/pg'\n" +
				"log_destination='stderr,syslog'\nrestore_command='cp'\nprimary_conninfo='host=x'\nshared_preload_libraries='pg_cron,x'\n" +
				"synchronous_standby_names='*'\nbonjour=on\ninclude_dir '/etc/pg/conf.d'\ninclude_if_exists '../x.conf'\n"},
			reaches: "archive_command,bonjour,include_dir /etc/pg/conf.d,include_if_exists ../x.conf,log_destination,log_directory,primary_conninfo,restore_command," +
				"shared_preload_libraries pg_cron,synchronous_standby_names",
		},
		{
			name:  "an archive that is off",
			files: map[string]string{"postgresql.conf": "archive_command='cp'\nlog_directory='/var/log/pg'\n"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := HandOut(dirOf(t, tt.files), false)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(h.TakenOut, " "); got != tt.takenOut {
				t.Errorf("taken out: %q, want %q", got, tt.takenOut)
			}
			if got := strings.Join(h.Reaches, ","); got != tt.reaches {
				t.Errorf("reaches: %q, want %q", got, tt.reaches)
			}
			for _, name := range slices.Sorted(maps.Keys(tt.changed)) {
				if string(h.Files[name]) != tt.changed[name] {
					t.Errorf("%s: %q, want %q", name, h.Files[name], tt.changed[name])
				}
			}
			if len(h.Files) != len(tt.changed) {
				t.Errorf("files that are changed: %q", slices.Sorted(maps.Keys(h.Files)))
			}
			if tt.takenOut == "" && tt.reaches == "" && h.Note() != "" {
				t.Errorf("note %q", h.Note())
			}
		})
	}
}

// TestHandOutContained reads the configuration that was handed out: all channels are closed in it, and what
// else it said is as it was.
func TestHandOutContained(t *testing.T) {
	files := dirOf(t, map[string]string{
		"postgresql.conf":      "archive_mode=on\nwork_mem=2MB\ninclude '/etc/pg/x.conf'\ndata_directory='/srv/pg'\n",
		"postgresql.auto.conf": "restore_command = 'cp'\nmax_logical_replication_workers = 7", // without an end of line
	})
	h, err := HandOut(files, true)
	if err != nil {
		t.Fatal(err)
	}
	if h.Reaches != nil || strings.Join(h.TakenOut, " ") != "data_directory include" {
		t.Errorf("reaches %q, taken out %q", h.Reaches, h.TakenOut)
	}
	given := map[string]string{}
	for name, text := range h.Files {
		given[name] = string(text)
	}
	values, err := configValues(dirOf(t, given))
	if err != nil {
		t.Fatal(err)
	}
	if values["work_mem"] != "2MB" || values["data_directory"] != "" {
		t.Errorf("work_mem %q, data_directory %q", values["work_mem"], values["data_directory"])
	}
	for _, ch := range channels {
		for _, s := range ch.closed {
			if got, found := values[s.Name]; !found || got != s.Value {
				t.Errorf("%s is %q, want %q", s.Name, got, s.Value)
			}
		}
	}
	again, err := HandOut(dirOf(t, given), false)
	if err != nil || again.Note() != "" {
		t.Errorf("what was contained still says %q, %v", again.Note(), err)
	}
}
