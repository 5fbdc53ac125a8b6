package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Handout is the configuration of a data directory that is handed out as files, by an export or a base
// backup, and on which somebody else's postgres will be started. No command line of zenith's contains that server,
// so what would make it use the original's own files is taken out of the configuration, always; what else leads
// out is named, or, on request, held back by settings in postgresql.auto.conf.
type Handout struct {
	// Files are the configuration files that are not as the state has them, by their paths.
	Files map[string][]byte
	// TakenOut are the settings that are commented out in Files, and Reaches those that still lead out of the
	// data directory. Both are sorted.
	TakenOut, Reaches []string
}

// pathSettings are the settings that make a server use other files than those of its own data directory.
// What they name in the original's configuration are the original's files: a server that is started with
// -D COPY would open the original's data directory, or overwrite its pid file.
// Up to PostgreSQL 14 statistics were written to a directory by their database's OID, the same as the original's.
var pathSettings = []string{"data_directory", "hba_file", "ident_file", "external_pid_file", "stats_temp_directory"}

// HandOut makes the configuration of a data directory ready to be handed out. contained: what leads out is
// held back.
func HandOut(files DataFiles, contained bool) (Handout, error) {
	h := Handout{Files: map[string][]byte{}}
	configured, err := readConfigured(files)
	if err != nil {
		return h, err
	}
	for name, text := range configured.texts {
		h.takeOut(name, text, func(key, value string) bool {
			out := leadsOutside(name, key, value)
			if out && isInclude(key) && !contained {
				h.Reaches = append(h.Reaches, key+" "+value)
				return false
			}
			return out
		})
	}
	if err := h.keepAccess(files, configured.settings); err != nil {
		return h, err
	}
	if contained {
		h.hold(configured.texts[autoConf])
	} else {
		h.Reaches = append(h.Reaches, reaches(configured)...)
	}
	slices.Sort(h.TakenOut)
	slices.Sort(h.Reaches)
	return h, nil
}

// Note says in one line what was done to the configuration and what of it leads out, "" if there is nothing
// to say.
func (h Handout) Note() string {
	var parts []string
	if len(h.TakenOut) > 0 {
		parts = append(parts, "settings that named the original's files are commented out: "+strings.Join(h.TakenOut, ", "))
	}
	if len(h.Reaches) > 0 {
		parts = append(parts, "a postgres that is started on this data directory reaches out by "+strings.Join(h.Reaches, ", "))
	}
	return strings.Join(parts, "; ")
}

// takeOut comments lines of a configuration file out, those of which which is true.
func (h *Handout) takeOut(name string, text []byte, which func(key, value string) bool) {
	var out bytes.Buffer
	changed := false
	for line := range bytes.Lines(text) {
		key, value, ok := parseConfigLine(string(line))
		if ok && which(key, value) {
			out.WriteString("# taken out by zenith: ")
			changed = true
			if !slices.Contains(h.TakenOut, key) {
				h.TakenOut = append(h.TakenOut, key)
			}
		}
		out.Write(line)
	}
	if changed {
		h.Files[name] = out.Bytes()
	}
}

// leadsOutside reports whether a line of the configuration file called name makes the server use a file
// outside of the data directory.
func leadsOutside(name, key, value string) bool {
	if isInclude(key) {
		return path.IsAbs(value) || !filepath.IsLocal(path.Join(path.Dir(name), value))
	}
	return slices.Contains(pathSettings, key) && value != "" && !filepath.IsLocal(value)
}

// isInclude reports whether a line with that key includes other files.
func isInclude(key string) bool { return key == "include" || strings.HasPrefix(key, "include_") }

// keepAccess keeps who may log in as it was, where the configuration names its own pg_hba.conf or pg_ident.conf
// in the data directory by an absolute path, which is taken out: the standard file gets what that one says.
func (h *Handout) keepAccess(files DataFiles, configured map[string]string) error {
	for setting, standard := range accessFiles {
		named := configured[setting]
		if !slices.Contains(h.TakenOut, setting) || filepath.Base(named) == standard {
			continue
		}
		text, err := files.ReadFile(filepath.Base(named))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		h.Files[standard] = text
	}
	return nil
}

// hold closes the channels by settings behind those of postgresql.auto.conf, which win over all others.
func (h *Handout) hold(auto []byte) {
	if changed, ok := h.Files[autoConf]; ok {
		auto = changed
	}
	if len(auto) > 0 && !bytes.HasSuffix(auto, []byte("\n")) {
		auto = append(bytes.Clone(auto), '\n')
	}
	out := bytes.NewBuffer(bytes.Clone(auto))
	fmt.Fprintln(out, "# Held back by zenith, since this is a copy. Remove a line to open what it closes.")
	for _, ch := range channels {
		for _, s := range ch.closed {
			fmt.Fprintf(out, "%s = '%s'\n", s.Name, strings.ReplaceAll(s.Value, "'", "''"))
		}
	}
	h.Files[autoConf] = out.Bytes()
}

// reaches names what leads a server with this configuration out of its data directory.
func reaches(c configured) (list []string) {
	for _, ch := range channels {
		if ch.used(c) {
			list = append(list, ch.ways(c)...)
		}
	}
	return list
}

// ways names what leads out through a channel that is used.
func (ch channel) ways(c configured) (list []string) {
	for _, l := range ch.leads {
		if v := c.settings[l.setting]; v != "" && l.out(v) {
			list = append(list, l.setting)
		}
	}
	if len(ch.leads) > 0 {
		return list
	}
	for _, s := range ch.closed {
		if v, found := c.settings[s.Name]; found && !strings.EqualFold(v, s.Value) {
			list = append(list, s.Name)
		}
	}
	for _, l := range ch.preloaded(c) {
		list = append(list, "shared_preload_libraries "+l)
	}
	if ch.subscriptions {
		for _, name := range c.subscriptions {
			list = append(list, "subscription "+name)
		}
	}
	return list
}
