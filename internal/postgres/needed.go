package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// Needed finds the settings that a state needs and its configuration does not give: a server does not
// start on prepared transactions for which it has no room. That a setting was enough for the server
// that prepared them is known from pg_control: had is what that says. user is what the user sets for
// the start, which is left as it is. note says in one line what was raised, "" if nothing was.
func Needed(files DataFiles, had pg.ControlSettings, user map[string]string) (settings []api.Setting, note string, err error) {
	prepared, err := files.List("pg_twophase")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	if len(prepared) == 0 {
		return nil, "", nil
	}
	configured, err := configValues(files)
	if err != nil {
		return nil, "", err
	}
	for _, s := range []struct {
		name     string
		standard int64 // without configuration
		need     int64
	}{
		{"max_prepared_transactions", 0, max(int64(had.MaxPreparedXacts), int64(len(prepared)))},
		// The locks of prepared transactions are in a table whose size these two say, too.
		{"max_connections", 100, int64(had.MaxConnections)},
		{"max_locks_per_transaction", 64, int64(had.MaxLocksPerXact)},
	} {
		if _, found := user[s.name]; found || !isBelow(configured[s.name], s.standard, s.need) {
			continue
		}
		settings = append(settings, api.Setting{Name: s.name, Value: strconv.FormatInt(s.need, 10)})
	}
	if len(settings) == 0 {
		return nil, "", nil
	}
	note = fmt.Sprintf("%d prepared transactions are in this state, so that", len(prepared))
	if len(prepared) == 1 {
		note = "a prepared transaction is in this state, so that"
	}
	for _, s := range settings {
		note += " " + s.Name + "=" + s.Value
	}
	return settings, note, nil
}

// Notes lists the notes that say something.
func Notes(notes ...string) []string {
	return slices.DeleteFunc(notes, func(note string) bool { return note == "" })
}

// isBelow reports whether the value of a setting, "" if it has the standard one, is below need. One that
// is no number is not: the server will say what is wrong with it.
func isBelow(value string, standard, need int64) bool {
	if value == "" {
		return standard < need
	}
	n, err := strconv.ParseInt(value, 0, 64)
	return err == nil && n < need
}
