package postgres

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"zenith/internal/api"
)

// value gives what the last of the settings of that name says, as on a command line.
func value(settings []api.Setting, name string) (v string, found bool) {
	for _, s := range settings {
		if s.Name == name {
			v, found = s.Value, true
		}
	}
	return v, found
}

func TestContain(t *testing.T) {
	dir, plain := t.TempDir(), t.TempDir()
	config := "archive_mode = on\nsynchronous_standby_names = 'a'\nrestore_command = 'cp'\nshared_preload_libraries = 'x, pg_cron'\n"
	if err := os.WriteFile(filepath.Join(dir, "postgresql.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, main := range []bool{true, false} {
		_, note, err := Contain{DataDir: plain, Main: main}.Settings(DirFiles(plain))
		if err != nil || note != "" {
			t.Errorf("a server that is configured to reach nothing, main %v: note %q, %v", main, note, err)
		}
	}
	for _, tt := range []struct {
		name   string
		c      Contain
		closed []string
		open   []string
		held   string // a part of the note
	}{
		{
			name: "copy", c: Contain{},
			closed: []string{"archive_mode", "synchronous_standby_names", "max_logical_replication_workers", "restore_command", "cron.launch_active_jobs"},
			held:   "archive, standbys, primary, jobs",
		},
		{
			name: "main", c: Contain{Main: true},
			closed: []string{"archive_mode", "synchronous_standby_names", "logging_collector"},
			open:   []string{"max_logical_replication_workers", "cron.launch_active_jobs"},
			held:   "archive, standbys (",
		},
		{
			name: "allow", c: Contain{Options: api.ComputeOptions{Allow: []string{"subscriptions"}}},
			closed: []string{"archive_mode", "cron.launch_active_jobs"},
			open:   []string{"max_logical_replication_workers"},
			held:   "archive, standbys, primary",
		},
		{
			name: "as original", c: Contain{Options: api.ComputeOptions{AsOriginal: true}},
			closed: []string{"logging_collector", "external_pid_file", "data_directory"},
			open:   []string{"archive_mode", "synchronous_standby_names", "max_logical_replication_workers", "restore_command"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.DataDir = dir
			settings, note, err := tt.c.Settings(DirFiles(dir))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range tt.closed {
				if _, found := value(settings, name); !found {
					t.Errorf("%s is not set", name)
				}
			}
			for _, name := range tt.open {
				if v, found := value(settings, name); found {
					t.Errorf("%s is set to %q", name, v)
				}
			}
			if !strings.Contains(note, tt.held) || tt.held == "" && note != "" {
				t.Errorf("note %q, want one with %q", note, tt.held)
			}
		})
	}
	_, _, err := Contain{DataDir: dir, Options: api.ComputeOptions{Allow: []string{"world"}}}.Settings(DirFiles(dir))
	if err == nil || !strings.Contains(err.Error(), "subscriptions") {
		t.Errorf("an unknown channel: %v, want an error that lists the channels", err)
	}
}

// TestContainFiles: a server keeps to the files of its own data directory, whatever paths its
// configuration has, and does not exchange one pg_hba.conf of its own for another.
func TestContainFiles(t *testing.T) {
	for _, tt := range []struct{ configured, want string }{
		{"", "pg_hba.conf"},
		{"hba_file = '/etc/postgresql/15/main/pg_hba.conf'", "pg_hba.conf"},
		{"hba_file = '/srv/production/strict_hba.conf'", "strict_hba.conf"},
		{"hba_file = '../production/pg_hba.conf'", "pg_hba.conf"},
		{"hba_file = 'strict_hba.conf'", "strict_hba.conf"},
		{"include 'more.conf'", "strict_hba.conf"},
		{"hba_file = 'gone.conf'", "pg_hba.conf"},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"postgresql.conf": tt.configured, "more.conf": "hba_file='strict_hba.conf'", "pg_hba.conf": "", "strict_hba.conf": "",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		settings, _, err := Contain{DataDir: dir}.Settings(DirFiles(dir))
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := value(settings, "hba_file"); got != filepath.Join(dir, tt.want) {
			t.Errorf("%q: hba_file is %q, want %q of the data directory", tt.configured, got, tt.want)
		}
		if got, _ := value(settings, "data_directory"); got != dir {
			t.Errorf("%q: data_directory is %q", tt.configured, got)
		}
	}
}

// TestChannelsAreDocumented: docs/copies.md has each channel and each setting that closes it.
func TestChannelsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/copies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range channels {
		for _, word := range append([]string{c.name}, names(c.closed)...) {
			if !strings.Contains(string(text), "`"+word+"`") && word != "" {
				t.Errorf("docs/copies.md does not have %q of the channel that reaches %s", word, c.reaches)
			}
		}
	}
}

func names(settings []api.Setting) (list []string) {
	for _, s := range settings {
		list = append(list, s.Name)
	}
	return slices.Compact(list)
}
