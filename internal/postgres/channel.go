package postgres

import (
	"maps"
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
	name    string // what --allow takes
	reaches string // what it leads to
	never   bool   // it cannot be opened: where it leads is of no use to a copy
	// ofMain says that the channel is closed on main, too: a copy of production that runs beside
	// production, until the user says that it takes production's place.
	ofMain bool
	closed []api.Setting

	// What tells that a server would use the channel, for the notes: other values of the settings that close
	// it; these libraries, when they are preloaded; subscriptions that are enabled.
	libraries     []string
	subscriptions bool
	// leads are the settings that say where a channel that is used leads to; none: those that close it do.
	leads []lead
}

// lead is a setting whose value leads out of the data directory if out is true of it.
type lead struct {
	setting string
	out     func(value string) bool
}

// always is the out of settings that lead out whenever they are set.
func always(string) bool { return true }

// channels is every channel that settings close. The first is closed by ownFiles.
var channels = []channel{
	{name: "files", never: true, reaches: "the original's data directory, pg_hba.conf, pg_ident.conf and pid file, by their paths in its configuration", ofMain: true},
	{
		name: "log", never: true, reaches: "the original's log files, or the system's log: postgres writes to a log file of its own", ofMain: true,
		closed: []api.Setting{{Name: "logging_collector", Value: "off"}, {Name: "log_destination", Value: "stderr"}},
		leads: []lead{
			{"log_directory", func(dir string) bool { return !filepath.IsLocal(dir) }},
			{"log_destination", func(list string) bool { return strings.Contains(list, "syslog") || strings.Contains(list, "eventlog") }},
		},
	},
	{
		name: "archive", reaches: "the original's WAL archive, by archive_command or archive_library", ofMain: true,
		closed: []api.Setting{{Name: "archive_mode", Value: "off"}}, leads: []lead{{"archive_command", always}, {"archive_library", always}},
	},
	{
		name: "standbys", reaches: "the original's standbys: a commit would wait for them", ofMain: true,
		closed: []api.Setting{{Name: "synchronous_standby_names", Value: ""}},
	},
	{
		name: "subscriptions", reaches: "the publishers of the original's subscriptions: changes taken from a slot there never reach the original",
		closed: []api.Setting{{Name: "max_logical_replication_workers", Value: "0"}}, subscriptions: true,
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
		// no switch; there, it looks for the server to run its jobs on at a place where none is.
		name: "jobs", reaches: "whatever jobs of pg_cron, TimescaleDB, pg_partman and PoWA reach: their workers run none",
		closed: []api.Setting{
			{Name: "cron.launch_active_jobs", Value: "off"}, {Name: "cron.use_background_workers", Value: "off"}, {Name: "cron.host", Value: "/nonexistent"},
			{Name: "timescaledb.max_background_workers", Value: "0"},
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

// Channel describes a way in which a server on a copy would reach past its own files, for users and tests.
type Channel struct {
	Name    string
	Reaches string        // what it leads to
	Never   bool          // --allow cannot open it
	OfMain  bool          // it is closed on main, too
	Closed  []api.Setting // what closes it, less paths that depend on the data directory
}

// Channels lists every channel that settings close.
func Channels() (list []Channel) {
	for _, c := range channels {
		list = append(list, Channel{Name: c.name, Reaches: c.reaches, Never: c.never, OfMain: c.ofMain, Closed: slices.Clone(c.closed)})
	}
	return list
}

// OpenChannels lists the names of the channels that can be opened.
func OpenChannels() (names []string) {
	for _, c := range channels {
		if !c.never {
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
	configured, err := readConfigured(files)
	if err != nil {
		return nil, "", err
	}
	settings = c.ownFiles(files, configured.settings)
	var held []string
	for _, ch := range channels {
		switch {
		case ch.never:
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

// accessFiles are the settings that name the files which say who may log in, and the standard names of those
// files in a data directory.
var accessFiles = map[string]string{"hba_file": "pg_hba.conf", "ident_file": "pg_ident.conf"}

// ownFiles makes the server use the files of its own data directory. postgresql.conf may name
// others, by absolute paths, which a server that is given -D alone would open, and write.
func (c Contain) ownFiles(files DataFiles, configured map[string]string) []api.Setting {
	settings := []api.Setting{{Name: "data_directory", Value: c.DataDir}, {Name: "external_pid_file", Value: ""}}
	for _, setting := range slices.Sorted(maps.Keys(accessFiles)) { // the same command line at each start
		name, standard := configured[setting], accessFiles[setting]
		if !filepath.IsLocal(name) { // often an absolute path of a file in the original's own data directory
			name = filepath.Base(name)
		}
		if _, err := files.ReadFile(name); err != nil {
			name = standard
		}
		settings = append(settings, api.Setting{Name: setting, Value: filepath.Join(c.DataDir, name)})
	}
	if configured["stats_temp_directory"] != "" { // a server that knows it is older than PostgreSQL 15
		settings = append(settings, api.Setting{Name: "stats_temp_directory", Value: "pg_stat_tmp"})
	}
	return settings
}

// configured is what the configuration and the catalogs of a data directory say of what a server on it uses.
type configured struct {
	settings      map[string]string // see configValues
	texts         map[string][]byte // of the configuration files
	subscriptions []string          // the names of those that are enabled
}

func readConfigured(files DataFiles) (c configured, err error) {
	read, err := readConfig(files)
	if err != nil {
		return c, err
	}
	c.settings, c.texts = read.values, read.texts
	c.subscriptions, err = enabledSubscriptions(files)
	return c, err
}

// used reports whether a server with this configuration would use the channel, if it were open.
func (ch channel) used(c configured) bool {
	for _, s := range ch.closed {
		if v, found := c.settings[s.Name]; found && !strings.EqualFold(v, s.Value) {
			return true
		}
	}
	return len(ch.preloaded(c)) > 0 || ch.subscriptions && len(c.subscriptions) > 0
}

// preloaded gives those of the channel's libraries that the configuration preloads.
func (ch channel) preloaded(c configured) []string {
	loads := c.settings["shared_preload_libraries"]
	return slices.DeleteFunc(slices.Clone(ch.libraries), func(l string) bool { return !strings.Contains(loads, l) })
}
