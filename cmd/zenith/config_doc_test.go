package main

import (
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestConfigDoc compares docs/config.md with the settings that there are: each file's keys, in both
// directions, and the flags that are said to override them.
func TestConfigDoc(t *testing.T) {
	text, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	app := newApp(&environ{out: io.Discard, err: io.Discard})
	for _, file := range []struct {
		name     string
		settings any
	}{
		{configFile, cliConfig{}},
		{serverFile, serverConfig{}},
	} {
		rows := settingRows(t, string(text), file.name)
		var documented []string
		for _, row := range rows {
			documented = append(documented, row.key)
			if row.flag != "" && !hasFlag(app, row.flag) {
				t.Errorf("%s, %s: the command line has no %s", file.name, row.key, row.flag)
			}
		}
		want := tomlKeys(reflect.TypeOf(file.settings), "")
		slices.Sort(want)
		slices.Sort(documented)
		if !slices.Equal(documented, want) {
			t.Errorf("docs/config.md has the keys %q of %s, the program %q", documented, file.name, want)
		}
	}
}

// settingRow is a row of a table in docs/config.md.
type settingRow struct{ key, flag string }

// settingRows reads the table below the heading that names a file. Each of its cells but the flag must
// say something.
func settingRows(t *testing.T, text, file string) (rows []settingRow) {
	t.Helper()
	_, section, found := strings.Cut(text, "\n## `"+file+"`\n")
	if !found {
		t.Fatalf("docs/config.md has no section on %s", file)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		if len(cells) != 5 || slices.Contains(cells[:4], "") {
			t.Errorf("docs/config.md, %s: want key, default, unit, meaning and flag: %s", file, line)
			continue
		}
		rows = append(rows, settingRow{key: cells[0], flag: cells[4]})
	}
	return rows
}

// placeholders are the document's words for the keys of maps.
var placeholders = map[string]string{"remotes": "NAME", "tenants": "HEX", "pg_distribs": "MAJOR", "accounts": "ACCOUNT"}

// tomlKeys lists the keys that a struct of settings is read from.
func tomlKeys(settings reflect.Type, prefix string) (keys []string) {
	for i := range settings.NumField() {
		f := settings.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		switch {
		case !f.IsExported() && !f.Anonymous: // not read from the file
		case f.Anonymous:
			keys = append(keys, tomlKeys(f.Type, prefix)...)
		case f.Type.Kind() == reflect.Struct:
			keys = append(keys, tomlKeys(f.Type, prefix+name+".")...)
		case f.Type.Kind() == reflect.Map && f.Type.Elem().Kind() == reflect.Struct:
			keys = append(keys, tomlKeys(f.Type.Elem(), prefix+name+"."+placeholders[name]+".")...)
		case f.Type.Kind() == reflect.Map:
			keys = append(keys, prefix+name+"."+placeholders[name])
		default:
			keys = append(keys, prefix+name)
		}
	}
	return keys
}

// hasFlag reports whether the command line has a flag, "--flag" for a global one or one that several
// commands have, "COMMAND --flag" for one command's.
func hasFlag(app *cli.App, flag string) bool {
	command, flag, found := strings.Cut(flag, "--")
	if !found || !regexp.MustCompile(`^[a-z-]+$`).MatchString(flag) {
		return false
	}
	named := func(f cli.Flag) bool { return slices.Contains(f.Names(), flag) }
	if command == "" && slices.ContainsFunc(app.Flags, named) {
		return true
	}
	for _, c := range app.Commands {
		if (command == "" || c.Name == strings.TrimSpace(command)) && slices.ContainsFunc(c.Flags, named) {
			return true
		}
	}
	return false
}
