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
	configFile  = "config"          // the CLI's
	serverFile  = "pageserver.toml" // the page server's
	logFile     = "pageserver.log"  //
	pidFileName = "pageserver.pid"  // locked by the page server as long as it runs
	addrFile    = "pageserver.addr" // where it listens, while it runs
	initFile    = "init.unfinished" // there while init works; a killed one leaves it behind
	tenantsDir  = "tenants"         // the tenants'
	configNote  = "zenith's command line: where the page server is, and which tenant is meant.\n"
	serverNote  = "What zenith init was given. Flags of zenith start override it.\n"
	listenUsual = "127.0.0.1:6400"
)

// cliConfig is <workdir>/config.
type cliConfig struct {
	PageServer string            `toml:"pageserver"`           // HOST:PORT, or a conninfo
	PgDistrib  string            `toml:"pg_distrib,omitempty"` // has bin/pg_dump and the like
	PgUser     string            `toml:"pg_user,omitempty"`    // whom postgres runs as on a copy here, where we are root
	TenantID   tenantID          `toml:"tenantid,omitempty"`   // the default
	Remotes    map[string]string `toml:"remotes,omitempty"`    // other page servers, by name
}

// serverConfig is <workdir>/pageserver.toml.
type serverConfig struct {
	Listen      hostPort  `toml:"listen"`
	PgDistrib   string    `toml:"pg_distrib"`
	PgUser      string    `toml:"pg_user,omitempty"`
	NoChecksums bool      `toml:"no_data_checksums,omitempty"` // of the clusters of new tenants
	MaxLag      byteSize  `toml:"max_lag,omitempty"`           // WAL that ingest may be behind before fsync waits
	IdleTime    idleTime  `toml:"idle_time,omitempty"`         // after which a tenant that nobody uses is closed
	Through     bool      `toml:"write_through,omitempty"`     // mounts get each write at once: slower
	LogFormat   logFormat `toml:"log_format,omitempty"`
	LogLevel    logLevel  `toml:"log_level,omitempty"`

	Retention retentionConfig         `toml:"retention,omitempty"`
	Tenants   map[string]tenantConfig `toml:"tenants,omitempty"` // by id
}

// Types of settings that check themselves, so that errors name the line.
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

// bytes gives the size, 0 where none is set.
func (b byteSize) bytes() int64 {
	r, err := api.ParseRetain(string(b))
	if err != nil || r.Time != 0 {
		return 0
	}
	return r.Bytes
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *idleTime) UnmarshalText(text []byte) error {
	*t = idleTime(text)
	if t.duration() < time.Second {
		return fmt.Errorf("%q: want a duration such as 15s, a second or more", text)
	}
	return nil
}

// duration gives the time, 0 where none is set.
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

// level gives the log level, info where none is set.
func (l logLevel) level() slog.Level {
	level, err := parseLevel(string(l))
	if err != nil {
		return slog.LevelInfo
	}
	return level
}

// path gives a file of the work directory.
func (e *environ) path(name string) string { return filepath.Join(e.workdir, name) }

// config reads the CLI's settings. A work directory is one that has them.
func (e *environ) config() (*cliConfig, error) {
	var c cliConfig
	err := readTOML(e.path(configFile), &c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &kindError{e.workdir + ": no work directory here (run zenith init)", errNoWorkdir}
	}
	if err != nil {
		return nil, err
	}
	if c.PageServer == "" {
		return nil, fmt.Errorf("%s: pageserver is not set", e.path(configFile))
	}
	return &c, nil
}

// server reads the page server's settings.
func (e *environ) server() (*serverConfig, error) {
	if _, err := e.config(); err != nil {
		return nil, err
	}
	var c serverConfig
	err := readTOML(e.path(serverFile), &c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, api.Errorf(api.ErrNotAllowed, "%s: its page server is a remote one", e.workdir)
	}
	if err == nil {
		err = c.checkTenants(e.path(serverFile))
	}
	if err != nil {
		return nil, err
	}
	if c.Listen == "" {
		c.Listen = listenUsual
	}
	return &c, nil
}

// local reports whether the page server is one of this work directory.
func (e *environ) local() bool {
	_, err := os.Stat(e.path(serverFile))
	return err == nil
}
