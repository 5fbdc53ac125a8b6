package postgres

import (
	"path/filepath"
	"slices"
	"strings"

	"zenith/internal/api"
)

// A channel is a way in which a server on a copy of a data directory would reach past its own mount,
// socket and log, because the configuration and the catalogs that it has are another server's: that
// server's files and programs, its archive, its publishers. A channel is closed by settings on the
// command line, which win over every configuration file, unless the user opens it by name.
//
// What no setting closes (foreign servers, COPY TO PROGRAM, functions that a login or a query calls)
// is listed in docs/copies.md.
type channel struct {
	name    string // what --allow takes; "" for a channel that is never opened
	reaches string // what it leads to
	// ofMain says that the channel is closed on main, too: a copy of production that runs beside
	// production, until the user says that it takes production's place.
	ofMain bool
	closed []api.Setting

	// Whether a server would use the channel is told by its configuration, for the note: by other values of
	// the settings that close it, or by these libraries. inCatalogs: it may, whatever the configuration says.
	libraries  []string
	inCatalogs bool
}

// channels is every channel that settings close. The values of the first are made by ownFiles.
var channels = []channel{
	{reaches: "the original's data directory, pg_hba.conf, pg_ident.conf and pid file, by their paths in its configuration", ofMain: true},
	{
		reaches: "the original's log files, or the system's log: postgres writes to a log file of its own", ofMain: true,
		closed: []api.Setting{{Name: "logging_collector", Value: "off"}, {Name: "log_destination", Value: "stderr"}},
	},
	{
		name: "archive", reaches: "the original's WAL archive, by archive_command or archive_library", ofMain: true,
		closed: []api.Setting{{Name: "archive_mode", Value: "off"}},
	},
	{
		name: "standbys", reaches: "the original's standbys: a commit would wait for them", ofMain: true,
		closed: []api.Setting{{Name: "synchronous_standby_names", Value: ""}},
	},
	{
		name: "subscriptions", reaches: "the publishers of the original's subscriptions: changes taken from a slot there never reach the original",
		closed: []api.Setting{{Name: "max_logical_replication_workers", Value: "0"}}, inCatalogs: true,
	},
	{
		name: "primary", reaches: "the server that the original is a standby of, and commands of its recovery",
		closed: []api.Setting{
			{Name: "primary_conninfo", Value: ""}, {Name: "primary_slot_name", Value: ""}, {Name: "restore_command", Value: ""},
			{Name: "archive_cleanup_command", Value: ""}, {Name: "recovery_end_command", Value: ""},
		},
	},
	{
		// A setting of a library that is not loaded is a placeholder, which nobody reads. pg_cron before 1.5 has
		// no switch: there, its jobs run.
		name: "jobs", reaches: "whatever jobs of pg_cron, TimescaleDB, pg_partman and PoWA reach: their workers run none",
		closed: []api.Setting{
			{Name: "cron.launch_active_jobs", Value: "off"}, {Name: "timescaledb.max_background_workers", Value: "0"},
			{Name: "pg_partman_bgw.dbname", Value: ""}, {Name: "powa.frequency", Value: "-1"},
		},
		libraries: []string{"pg_cron", "timescaledb", "pg_partman_bgw", "powa"},
	},
	{
		name: "bonjour", reaches: "the local network, where the server would announce itself",
		closed: []api.Setting{{Name: "bonjour", Value: "off"}},
	},
}

// Contain says how far a server on a copied data directory may reach.
type Contain struct {
	DataDir string // where the server runs
	Main    bool   // it runs on the head of main, and so is what the original's users may move to
	Exec    bool   // it serves one command and is thrown away: what it holds back goes without saying
	Options api.ComputeOptions
}

// check makes sure that each channel that the options name can be opened: ErrBadArgument.
func (c Contain) check() error {
	for _, name := range c.Options.Allow {
		if !slices.Contains(OpenChannels(), name) {
			return api.Errorf(api.ErrBadArgument, "channel %q: there is no such channel; there are %s", name, strings.Join(OpenChannels(), ", "))
		}
	}
	return nil
}

// OpenChannels lists the names of the channels that can be opened.
func OpenChannels() (names []string) {
	for _, c := range channels {
		if c.name != "" {
			names = append(names, c.name)
		}
	}
	return names
}

// Settings gives the settings that close the channels, of a server on a data directory with these
// files. note names in one line what is held back, of what the server would use, "" if that is nothing.
func (c Contain) Settings(files DataFiles) (settings []api.Setting, note string, err error) {
	if err := c.check(); err != nil {
		return nil, "", err
	}
	configured, err := configValues(files)
	if err != nil {
		return nil, "", err
	}
	settings = c.ownFiles(files, configured)
	var held []string
	for _, ch := range channels {
		switch {
		case ch.name == "":
		case c.Options.AsOriginal, slices.Contains(c.Options.Allow, ch.name), c.Main && !ch.ofMain:
			continue
		case ch.used(configured):
			held = append(held, ch.name)
		}
		settings = append(settings, ch.closed...)
	}
	if len(held) > 0 && !c.Exec {
		note = "held back, as it is a copy: " + strings.Join(held, ", ") + " (--allow opens one)"
	}
	return settings, note, nil
}

// ownFiles makes the server use the files of its own data directory. postgresql.conf may name
// others, by absolute paths, which a server that is given -D alone would open, and write.
func (c Contain) ownFiles(files DataFiles, configured map[string]string) []api.Setting {
	settings := []api.Setting{{Name: "data_directory", Value: c.DataDir}, {Name: "external_pid_file", Value: ""}}
	for _, f := range []struct{ setting, standard string }{{"hba_file", "pg_hba.conf"}, {"ident_file", "pg_ident.conf"}} {
		name := configured[f.setting]
		if !filepath.IsLocal(name) { // often an absolute path of a file in the original's own data directory
			name = filepath.Base(name)
		}
		if _, err := files.ReadFile(name); err != nil {
			name = f.standard
		}
		settings = append(settings, api.Setting{Name: f.setting, Value: filepath.Join(c.DataDir, name)})
	}
	return settings
}

// used reports whether a server with these settings would use the channel, if it were open.
func (ch channel) used(configured map[string]string) bool {
	for _, s := range ch.closed {
		if v, found := configured[s.Name]; found && !strings.EqualFold(v, s.Value) {
			return true
		}
	}
	loads := configured["shared_preload_libraries"]
	return ch.inCatalogs || slices.ContainsFunc(ch.libraries, func(l string) bool { return strings.Contains(loads, l) })
}
