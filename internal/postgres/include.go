package postgres

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Include is a line of a configuration file that includes something which is not in the data directory.
type Include struct {
	File string // the configuration file, in the data directory
	Path string // what it includes, as the line has it
}

// MissingIncludes lists what the configuration of a data directory includes and what is not in it: outside of
// it, or not there.
func MissingIncludes(files DataFiles) (list []Include, err error) {
	c, err := readConfig(files)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.texts)) {
		for line := range strings.Lines(string(c.texts[name])) {
			key, value, ok := parseConfigLine(line)
			if !ok || !isInclude(key) {
				continue
			}
			missing := leadsOutside(name, key, value)
			if !missing {
				missing, err = isMissing(files, key, path.Join(path.Dir(name), value))
			}
			if err != nil {
				return nil, err
			}
			if missing {
				list = append(list, Include{File: name, Path: value})
			}
		}
	}
	return list, nil
}

// isMissing reports whether a file or directory of the data directory is not there that a line with that key includes. To
// include_if_exists that is nothing to speak of.
func isMissing(files DataFiles, key, at string) (bool, error) {
	var err error
	switch key {
	case "include":
		_, err = files.ReadFile(at)
	case "include_dir":
		var names []string
		if names, err = files.List(at); err == nil && len(names) == 0 {
			err = fs.ErrNotExist
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, err
}
