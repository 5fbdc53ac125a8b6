package ingest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// emptyDirFile is put into a directory that is empty: history knows directories only by the files in them,
// and a server does not start if an include_dir is not there. PostgreSQL passes over such names.
const emptyDirFile = ".keep"

// config adds files that are nobody else's, as configuration is, and tells what it leaves out.
func (s *scanner) config(dir string) error {
	entries, err := s.readDir(dir)
	if errors.Is(err, fs.ErrPermission) && dir != "" {
		return errUnread
	}
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		s.list = append(s.list, source{path: path.Join(dir, emptyDirFile), data: []byte{}})
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if dir == "" && slices.Contains(leftBehind, name) || strings.HasPrefix(e.Name(), "pgsql_tmp") {
			continue
		}
		info, err := os.Stat(filepath.Join(s.dir, name)) // through links
		switch {
		case errors.Is(err, fs.ErrNotExist) && e.Type()&fs.ModeSymlink != 0:
			s.leftOut(name, "a link to nothing")
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		case info.IsDir() && e.Type()&fs.ModeSymlink == 0:
			err := s.config(name)
			if errors.Is(err, errUnread) {
				s.leftOut(name, err.Error())
				err = nil
			}
			if err != nil {
				return err
			}
		default:
			if err := s.configFile(name, filepath.Join(s.dir, name), info); err != nil {
				return err
			}
		}
	}
	return nil
}

// errUnread is why a file or directory is left out that this account may not read.
var errUnread = errors.New("cannot be read: permission denied")

// configFile adds the file from, under name, if history can keep it. It is an error if it cannot be read and no server
// starts without it.
func (s *scanner) configFile(name, from string, info fs.FileInfo) error {
	switch {
	case info.IsDir():
		s.leftOut(name, "a link to a directory")
	case !info.Mode().IsRegular():
		s.leftOut(name, "not a file but "+kindOfFile(info.Mode()))
	case info.Size() > maxConfigFile:
		s.leftOut(name, fmt.Sprintf("%d bytes, more than %d", info.Size(), maxConfigFile))
	default:
		f, err := os.Open(from)
		if err == nil {
			err = f.Close()
		}
		switch {
		case errors.Is(err, fs.ErrPermission) && !slices.Contains(neededFiles, name):
			s.leftOut(name, errUnread.Error())
		case err != nil:
			return err
		default:
			s.list = append(s.list, source{path: name, from: from, size: info.Size()})
		}
	}
	return nil
}

// neededFiles are files of the data directory's top that PostgreSQL reads at every start.
var neededFiles = []string{"PG_VERSION", "postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf"}

func kindOfFile(m fs.FileMode) string {
	switch m.Type() {
	case fs.ModeNamedPipe:
		return "a fifo"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a device"
}

// defaultConfig are the files without which no server starts, and what is in them where none are found.
var defaultConfig = []struct{ name, content string }{
	{"postgresql.conf", "# The data directory was imported without a postgresql.conf.\n"},
	{"pg_hba.conf", "# The data directory was imported without a pg_hba.conf: nobody connects from elsewhere.\n" +
		"local all all trust\nhost all all 127.0.0.1/32 trust\nhost all all ::1/128 trust\n"},
	{"pg_ident.conf", ""},
}

// has reports whether a file of that name is in the list.
func (s *scanner) has(name string) bool {
	return slices.ContainsFunc(s.list, func(f source) bool { return f.path == name })
}

// configElsewhere adds what is missing of the configuration: from the directory that has it, as on
// Debian, or else with defaults.
func (s *scanner) configElsewhere() error {
	missing := func() (names []string) {
		for _, d := range defaultConfig {
			if !s.has(d.name) {
				names = append(names, d.name)
			}
		}
		return names
	}
	if dir := s.configDir(); dir != "" && len(missing()) > 0 {
		if err := s.takeConfig(dir, missing()); err != nil {
			return err
		}
	}
	for _, d := range defaultConfig {
		if s.has(d.name) {
			continue
		}
		s.leftOut(d.name, "it is not in the data directory: branches begin with a default one (edit it on a mount)")
		s.list = append(s.list, source{path: d.name, data: []byte(d.content), size: int64(len(d.content))})
	}
	return nil
}

// configFileOption finds config_file among the arguments that postmaster.opts holds, each in quotes.
var configFileOption = regexp.MustCompile(`"(?:--|-c"? ?"?)config[_-]file=([^"]+)"`)

// configDir is the directory of the postgresql.conf that the server ran with, if that is not the data
// directory and can be found: by postmaster.opts, or where Debian has it. "" if not.
func (s *scanner) configDir() string {
	dirs := []string{}
	if opts, err := os.ReadFile(filepath.Join(s.dir, "postmaster.opts")); err == nil {
		if m := configFileOption.FindSubmatch(opts); m != nil && filepath.IsAbs(string(m[1])) {
			dirs = append(dirs, filepath.Dir(string(m[1])))
		}
	}
	if cluster, ok := strings.CutPrefix(filepath.Clean(s.dir), "/var/lib/postgresql/"); ok {
		dirs = append(dirs, filepath.Join("/etc/postgresql", cluster))
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "postgresql.conf")); err == nil {
			return dir
		}
	}
	return ""
}

// takeConfig adds the files of those names in dir, and the conf.d that Debian's postgresql.conf includes.
func (s *scanner) takeConfig(dir string, names []string) error {
	for _, name := range names {
		from := filepath.Join(dir, name)
		info, err := os.Stat(from)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.configFile(name, from, info); err != nil {
			return err
		}
	}
	const included = "conf.d"
	entries, err := os.ReadDir(filepath.Join(dir, included))
	if errors.Is(err, fs.ErrNotExist) || !slices.Contains(names, "postgresql.conf") {
		return nil
	}
	if err != nil {
		return err
	}
	s.list = append(s.list, source{path: path.Join(included, emptyDirFile), data: []byte{}})
	for _, e := range entries {
		name := path.Join(included, e.Name())
		from := filepath.Join(dir, name)
		info, err := os.Stat(from)
		switch {
		case s.has(name):
		case errors.Is(err, fs.ErrNotExist):
			s.leftOut(from, "a link to nothing")
		case err != nil:
			return err
		default:
			if err := s.configFile(name, from, info); err != nil {
				return err
			}
		}
	}
	return nil
}
