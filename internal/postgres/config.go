package postgres

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"zenith/internal/api"
)

// maxIncludes is how deep configuration files may include each other (CONF_FILE_MAX_DEPTH of guc-file.l).
const maxIncludes = 10

// configValues gives what the configuration files of a data directory set, by the settings' names
// (api.SettingName), as PostgreSQL reads them: postgresql.conf, what it includes, postgresql.auto.conf.
// The last value of a setting counts. Files outside of the data directory are not read, and a file that is
// missing counts as empty: if the server needs it, it reports that itself when it starts.
func configValues(files DataFiles) (map[string]string, error) {
	c, err := readConfig(files)
	return c.values, err
}

// autoConf is the configuration file that ALTER SYSTEM writes, whose settings win over all other files'.
const autoConf = "postgresql.auto.conf"

func readConfig(files DataFiles) (config, error) {
	c := config{files: files, values: map[string]string{}, texts: map[string][]byte{}}
	for _, name := range []string{"postgresql.conf", autoConf} {
		if err := c.read(name, maxIncludes); err != nil {
			return c, err
		}
	}
	return c, nil
}

// config is the configuration of a data directory: its settings, and the texts of the files that it was read
// from, by their paths.
type config struct {
	files  DataFiles
	values map[string]string
	texts  map[string][]byte
}

// read takes over what a file sets. depth is how many more files it may include in a row.
func (c *config) read(name string, depth int) error {
	if depth == 0 || path.IsAbs(name) || !filepath.IsLocal(name) {
		return nil
	}
	text, err := c.files.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c.texts[name] = text
	for line := range strings.Lines(string(text)) {
		key, value, ok := parseConfigLine(line)
		if !ok {
			continue
		}
		switch at := path.Join(path.Dir(name), value); key {
		case "include", "include_if_exists":
			err = c.read(at, depth-1)
		case "include_dir":
			err = c.readDir(at, depth-1)
		default:
			c.values[key] = value
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readDir takes over what the files in a directory set that include_dir reads.
func (c *config) readDir(dir string, depth int) error {
	if path.IsAbs(dir) || !filepath.IsLocal(dir) {
		return nil
	}
	names, err := c.files.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasSuffix(name, ".conf") || strings.HasPrefix(name, ".") {
			continue
		}
		if err := c.read(path.Join(dir, name), depth); err != nil {
			return err
		}
	}
	return nil
}

// parseConfigLine reads NAME = VALUE, where the equals sign may be left out and the value may be
// quoted; false: the line has no setting.
func parseConfigLine(line string) (name, value string, ok bool) {
	line = strings.TrimSpace(line)
	end := strings.IndexAny(line, " \t=#")
	if end <= 0 {
		return "", "", false
	}
	name, rest := api.SettingName(line[:end]), strings.TrimLeft(line[end:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	if quoted, found := strings.CutPrefix(rest, "'"); found {
		return name, unquote(quoted), true
	}
	if end := strings.IndexAny(rest, " \t#"); end >= 0 {
		rest = rest[:end]
	}
	return name, rest, rest != ""
}

// unquote gives what stands before the quote that ends a value; a doubled quote, or one behind a
// backslash, does not.
func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		next := i+1 < len(s)
		switch {
		case s[i] == '\\' && next, s[i] == '\'' && next && s[i+1] == '\'':
			i++
		case s[i] == '\'':
			return b.String()
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
