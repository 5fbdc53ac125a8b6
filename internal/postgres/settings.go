package postgres

import (
	"maps"
	"slices"
	"strings"

	"zenith/internal/api"
	"zenith/internal/conninfo"
)

// loopback is the address at which servers listen that do so on TCP.
const loopback = "127.0.0.1"

// HostOf gives the address at which a server listens on TCP, which the user's settings may change; "": none.
func HostOf(tcp bool, settings map[string]string) string {
	if addresses, set := settings["listen_addresses"]; set {
		tcp = addresses != ""
	}
	if !tcp {
		return ""
	}
	return loopback
}

// PlaceSettings say where a server listens, a unix socket in SocketDir(dir) and, with tcp, 127.0.0.1, and, for
// its users, which tenant and timeline it has.
func PlaceSettings(dir string, tcp bool, tenant, timeline string) []api.Setting {
	addresses := ""
	if tcp {
		addresses = loopback
	}
	return []api.Setting{
		{Name: "listen_addresses", Value: addresses},
		{Name: "unix_socket_directories", Value: SocketDir(dir)},
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
		if err := checkSetting(s); err != nil {
			return nil, err
		}
		merged[api.SettingName(s.Name)] = s.Value
	}
	return merged, nil
}

// OpensSocket reports whether a user's settings put the socket where others may be able to enter.
func OpensSocket(settings map[string]string) bool {
	_, set := settings["unix_socket_directories"]
	return set
}

// placeFiles are the settings that say where a server's files are, which is where zenith has mounted them.
var placeFiles = []string{"data_directory", "config_file"}

// checkSetting refuses what would undo who is let in (Gate), a server on other files than the branch's, and a password:
// settings go on the command line of postgres, which every account of the machine can read. ErrNotAllowed. With the
// wal_level minimal a server changes pages without WAL, which a branch would never learn of: ErrBadArgument.
func checkSetting(s api.Setting) error {
	name := api.SettingName(s.Name)
	if _, ours := accessFiles[name]; ours {
		return api.Errorf(api.ErrNotAllowed, "%s: is zenith's to set; the lines of the branch's own file hold on main, and with --as-original", name)
	}
	if slices.Contains(placeFiles, name) {
		return api.Errorf(api.ErrNotAllowed, "%s: is zenith's to set: the server runs on the branch's own files", name)
	}
	if name == "wal_level" && strings.EqualFold(s.Value, "minimal") {
		return api.Errorf(api.ErrBadArgument, "wal_level: minimal is not possible on a branch, which learns of changes by WAL alone; replica or logical are")
	}
	if name != "primary_conninfo" {
		return nil
	}
	if info, err := conninfo.Parse(s.Value); err == nil && info.Public() != info.String() {
		return api.Errorf(api.ErrNotAllowed, "primary_conninfo: its password could be read by every account of this machine; name a passfile instead")
	}
	return nil
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
