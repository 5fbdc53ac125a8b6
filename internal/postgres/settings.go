package postgres

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"zenith/internal/api"
)

// CopySettings are the settings of a server whose data directory, and so whose configuration,
// is a copy of another server's: it must neither write into that one's archive nor wait for
// that one's standbys.
func CopySettings() []api.Setting {
	return []api.Setting{
		{Name: "archive_mode", Value: "off"},
		{Name: "synchronous_standby_names", Value: ""},
	}
}

// PlaceSettings say where a server listens, 127.0.0.1 and a unix socket in dir, and, for its
// users, which tenant and timeline it has.
func PlaceSettings(dir, tenant, timeline string) []api.Setting {
	return []api.Setting{
		{Name: "listen_addresses", Value: "127.0.0.1"},
		{Name: "unix_socket_directories", Value: socketDir(dir)},
		{Name: "zenith.tenant_id", Value: tenant},
		{Name: "zenith.timeline_id", Value: timeline},
	}
}

// UserSettings gives what a user set, sorted by name.
func UserSettings(settings map[string]string) (list []api.Setting) {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		list = append(list, api.Setting{Name: name, Value: settings[name]})
	}
	return list
}

// ThrowawayHBA is the pg_hba.conf of a server that one command uses and nobody else: it lets
// every local user in, whatever the pg_hba.conf of the data directory says.
const ThrowawayHBA = "local all all trust\nhost all all 127.0.0.1/32 trust\n"

// maxSocketDir is what sun_path (108 bytes) leaves for the directory of a unix socket.
const maxSocketDir = 108 - len("/.s.PGSQL.65535.lock") - 1

// socketDir is dir as a value of unix_socket_directories; "", no socket, where the socket's
// path would be too long, or dir cannot be written in that list.
func socketDir(dir string) string {
	if len(dir) > maxSocketDir || strings.ContainsAny(dir, ",\"'") {
		return ""
	}
	return dir
}

// RemoveSockets removes the unix sockets that a server which was killed left in dir: their
// lock files would keep the next server from starting.
func RemoveSockets(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, ".s.PGSQL.*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
