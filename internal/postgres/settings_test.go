package postgres

import (
	"errors"
	"testing"

	"zenith/internal/api"
)

// TestRefusedSettings: settings with which a server could not run on a branch are refused before it is started.
func TestRefusedSettings(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		want        error
	}{
		{"wal_level", "minimal", api.ErrBadArgument},
		{"WAL-Level", "Minimal", api.ErrBadArgument},
		{"wal_level", "logical", nil},
		{"data_directory", "/srv/production", api.ErrNotAllowed},
		{"config_file", "/etc/postgresql/15/main/postgresql.conf", api.ErrNotAllowed},
		{"hba_file", "pg_hba.conf", api.ErrNotAllowed},
		{"ident_file", "pg_ident.conf", api.ErrNotAllowed},
		{"work_mem", "1MB", nil},
	} {
		_, err := MergeSettings(nil, api.ComputeOptions{Settings: []api.Setting{{Name: tt.name, Value: tt.value}}})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s=%s: got %v, want %v", tt.name, tt.value, err, tt.want)
		}
	}
}
