package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"zenith/internal/api"
)

// The files of a work directory.
const (
	configFile  = "config"          // settings of the command line
	serverFile  = "pageserver.toml" // settings of the page server; not there if the page server is elsewhere
	logFile     = "pageserver.log"  // log of the page server
	pidFileName = "pageserver.pid"  // process id of the page server, which holds a lock on it while it runs
	addrFile    = "pageserver.addr" // where the page server listens, while it runs: HOST:PORT, or the path of its socket if it has no port; scripts read it
	homeFile    = "pageserver.home" // identity of the work directory that it runs in, while it runs
	usersFile   = "users"           // users and tokens of the page server, which package access owns
	initFile    = "init.unfinished" // there while init works: an init that was killed leaves it behind
	tenantsDir  = "tenants"         // one directory for each tenant, which package tenants owns
	configNote  = "zenith's command line: where the page server is, and which tenant is meant.\n"
	serverNote  = "What zenith init was given. Flags of zenith start override it.\n"
)

// cliConfig is <workdir>/config, the settings of the command line. docs/config.md describes the keys.
type cliConfig struct {
	PageServer string            `toml:"pageserver"`            // address: HOST:PORT, or a conninfo; ownSocket: this work directory's
	PgDistrib  string            `toml:"pg_distrib,omitempty"`  // installation for pg exec and for copies
	PgDistribs map[string]string `toml:"pg_distribs,omitempty"` // the same by major version
	PgUser     string            `toml:"pg_user,omitempty"`     // account that runs postgres on a copy, if root runs zenith
	TenantID   tenantID          `toml:"tenantid,omitempty"`    // the tenant if --tenantid is not given
	Remotes    map[string]string `toml:"remotes,omitempty"`     // conninfo of other page servers, by name

	doubt  error // why root must run nothing that the file names; nil: it may
	damage error // why the file could not be read: the rest is from pageserver.toml then; nil: it could
}

// serverConfig is <workdir>/pageserver.toml, the settings of the page server. docs/config.md describes the keys.
type serverConfig struct {
	Listen      hostPort  `toml:"listen,omitempty"`
	PgDistrib   string    `toml:"pg_distrib,omitempty"` // PostgreSQL installation of new tenants
	PgUser      string    `toml:"pg_user,omitempty"`
	Account     string    `toml:"account,omitempty"`           // that the page server runs as, where root starts it
	NoChecksums bool      `toml:"no_data_checksums,omitempty"` // clusters of new tenants have no data checksums
	MaxLag      byteSize  `toml:"max_lag,omitempty"`           // WAL that may wait for ingest before fsync waits
	Memory      byteSize  `toml:"memory,omitempty"`            // of the heap, above which Go's garbage collector works harder
	IdleTime    idleTime  `toml:"idle_time,omitempty"`         // a tenant that nobody uses for so long is closed
	Through     bool      `toml:"write_through,omitempty"`     // no writeback cache on mounts: slower
	LogFormat   logFormat `toml:"log_format,omitempty"`
	LogLevel    logLevel  `toml:"log_level,omitempty"`

	PgDistribs map[string]string       `toml:"pg_distribs,omitempty"` // PostgreSQL installations by major version
	Auth       authConfig              `toml:"auth,omitempty"`
	Accounts   accountsConfig          `toml:"accounts,omitempty"`
	TLS        tlsConfig               `toml:"tls,omitempty"`
	Gateway    gatewayConfig           `toml:"gateway,omitempty"`
	Egress     egressConfig            `toml:"egress,omitempty"`
	Limits     limitsConfig            `toml:"limits,omitempty"`
	Admin      adminConfig             `toml:"admin,omitempty"`
	Autostart  autostartConfig         `toml:"autostart,omitempty"`
	Retention  retentionConfig         `toml:"retention,omitempty"`
	Tenants    map[string]tenantConfig `toml:"tenants,omitempty"` // by tenant id

	doubt error // why root must run nothing that the file names; nil: it may
}

// autostartConfig says what comes back with the page server: see tenants.Autostart.
type autostartConfig struct {
	Postgres bool `toml:"postgres,omitempty"`
	Mounts   bool `toml:"mounts,omitempty"`
}

// Types of settings that check their own value while the file is decoded: only there does an error know
// the line.
type (
	tenantID  string
	hostPort  string
	byteSize  string
	idleTime  string
	logFormat string
	logLevel  string
)

var hex32 = regexp.MustCompile(`^[0-9a-f]{32}$`)

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *tenantID) UnmarshalText(text []byte) error {
	if !hex32.Match(text) {
		return fmt.Errorf("%q: want 32 lower-case hex digits", text)
	}
	*id = tenantID(text)
	return nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *hostPort) UnmarshalText(text []byte) error {
	_, port, err := net.SplitHostPort(string(text))
	if err != nil || port == "" {
		return fmt.Errorf("%q: want HOST:PORT", text)
	}
	*a = hostPort(text)
	return nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *byteSize) UnmarshalText(text []byte) error {
	*b = byteSize(text)
	if b.bytes() == 0 {
		return fmt.Errorf("%q: want a size such as 256MB", text)
	}
	return nil
}

// bytes gives the size in bytes, 0 if it is not set.
func (b byteSize) bytes() int64 {
	n, _ := api.ParseSize(string(b))
	return n
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *idleTime) UnmarshalText(text []byte) error {
	*t = idleTime(text)
	if t.duration() < time.Second {
		return fmt.Errorf("%q: want a duration such as 15s, a second or more", text)
	}
	return nil
}

// duration gives the time, 0 if it is not set.
func (t idleTime) duration() time.Duration {
	d, err := time.ParseDuration(string(t))
	if err != nil {
		return 0
	}
	return d
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *logFormat) UnmarshalText(text []byte) error {
	if s := string(text); s != logText && s != logJSON {
		return fmt.Errorf("%q: want %s or %s", text, logText, logJSON)
	}
	*f = logFormat(text)
	return nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *logLevel) UnmarshalText(text []byte) error {
	_, err := parseLevel(string(text))
	*l = logLevel(text)
	return err
}

// level gives the log level, info if it is not set.
func (l logLevel) level() slog.Level {
	level, err := parseLevel(string(l))
	if err != nil {
		return slog.LevelInfo
	}
	return level
}

// path gives the path of a file in the work directory.
func (e *environ) path(name string) string { return filepath.Join(e.workdir, name) }

// config reads the settings of the command line. A directory without them is not a work directory.
func (e *environ) config() (*cliConfig, error) {
	var c cliConfig
	doubt, err := readTOML(e.path(configFile), &c)
	c.doubt = doubt
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &kindError{e.workdir + ": no work directory here (run zenith init)", errNoWorkdir}
	}
	if err == nil && c.PageServer == "" {
		err = &kindError{e.path(configFile) + ": pageserver is not set", errDamaged}
	}
	if errors.Is(err, errDamaged) && e.local() {
		return e.configOfServer(err)
	}
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// configOfServer makes the settings of the command line from those of the page server, because their own
// file is damaged.
func (e *environ) configOfServer(damage error) (*cliConfig, error) {
	var s serverConfig
	doubt, err := readTOML(e.path(serverFile), &s)
	if err != nil {
		return nil, errors.Join(damage, err)
	}
	return &cliConfig{PageServer: ownSocket, PgDistrib: s.PgDistrib, PgDistribs: s.PgDistribs, PgUser: s.PgUser, damage: damage, doubt: doubt}, nil
}

// lostWithConfig tells what is lost if the settings of the command line are damaged.
const lostWithConfig = "the default tenant and the remotes"

// warnDamage tells the user of damage to the settings of the command line; nil: there is none.
func (e *environ) warnDamage(damage error) {
	if damage != nil {
		fmt.Fprintf(e.err, "zenith: %v: %s are lost\n", damage, lostWithConfig)
	}
}

// server reads the settings of the page server. ErrNotAllowed means that this work directory has none,
// because its page server is elsewhere.
func (e *environ) server() (*serverConfig, error) {
	if _, err := e.config(); err != nil {
		return nil, err
	}
	var c serverConfig
	doubt, err := readTOML(e.path(serverFile), &c)
	c.doubt = doubt
	if errors.Is(err, fs.ErrNotExist) {
		return nil, api.Errorf(api.ErrNotAllowed, "%s: its page server is a remote one", e.workdir)
	}
	if err == nil {
		err = c.checkTenants(e.path(serverFile))
	}
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// local reports whether the page server belongs to this work directory, instead of one elsewhere.
func (e *environ) local() bool {
	_, err := os.Stat(e.path(serverFile))
	return err == nil
}
