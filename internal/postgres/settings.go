package postgres

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"zenith/internal/api"
	"zenith/internal/dirfd"
)

// PlaceSettings say where a server listens, 127.0.0.1 and a unix socket in SocketDir(dir), and, for its
// users, which tenant and timeline it has.
func PlaceSettings(dir, tenant, timeline string) []api.Setting {
	return []api.Setting{
		{Name: "listen_addresses", Value: "127.0.0.1"},
		{Name: "unix_socket_directories", Value: socketSetting(SocketDir(dir))},
		{Name: "zenith.tenant_id", Value: tenant},
		{Name: "zenith.timeline_id", Value: timeline},
	}
}

// MergeSettings gives what a user's settings are, by their names (api.SettingName), when o has
// changed them. ErrBadArgument: it has a name that no setting can have.
func MergeSettings(settings map[string]string, o api.ComputeOptions) (map[string]string, error) {
	merged := map[string]string{}
	for name, value := range settings {
		merged[api.SettingName(name)] = value
	}
	for _, name := range o.Unset {
		delete(merged, api.SettingName(name))
	}
	for _, s := range o.Settings {
		if s.Name == "" || strings.ContainsAny(s.Name, "= \n") {
			return nil, api.Errorf(api.ErrBadArgument, "setting %q: want NAME=VALUE", s.Name)
		}
		merged[api.SettingName(s.Name)] = s.Value
	}
	return merged, nil
}

// RunsWith reports whether a server that was started with a port and settings already has the wanted ones.
func RunsWith(port int, settings map[string]string, wantPort int, want map[string]string) bool {
	have, _ := MergeSettings(settings, api.ComputeOptions{}) // fails for the options only
	return port == wantPort && maps.Equal(have, want)
}

// OtherSettings is the error, an ErrBusy, of a start with settings that the running server lacks.
func OtherSettings(name string, port int) error {
	return api.Errorf(api.ErrBusy, "pg %s: already running on port %d, with other settings; they take effect at a start: zenith pg stop %s first",
		name, port, name)
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

// SocketDir is the directory of the unix socket of the server whose directory is dir. It alone, of all that is
// in dir but the data directory, belongs to the server's account.
func SocketDir(dir string) string { return filepath.Join(dir, "run") }

// socketSetting is dir as a value of unix_socket_directories; "", no socket, where the socket's
// path would be too long, or dir cannot be written in that list.
func socketSetting(dir string) string {
	if len(dir) > maxSocketDir || strings.ContainsAny(dir, ",\"'") {
		return ""
	}
	return dir
}

// MakeSocketDir makes the SocketDir of the server whose directory is dir, for the account, and removes the unix
// sockets that a server which was killed has left there: their lock files would keep the next one from starting.
func (a Account) MakeSocketDir(dir string) (err error) {
	home, err := dirfd.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	name := filepath.Base(SocketDir(dir))
	if err := home.Mkdir(name, 0o755, a.UID, a.GID); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	sockets, err := home.Sub(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sockets.Close()) }()
	if err := sockets.Chown(a.UID, a.GID); err != nil {
		return err
	}
	left, err := sockets.List()
	for _, e := range left {
		if strings.HasPrefix(e.Name(), ".s.PGSQL.") {
			err = errors.Join(err, sockets.Remove(e.Name()))
		}
	}
	return err
}
