package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// State is what a server starts on, as far as it decides which settings it needs.
type State struct {
	Files DataFiles
	Had   pg.ControlSettings // those of the last server on the state, from pg_control
	// PhysicalSlots and LogicalSlots count the replication slots that the server finds.
	PhysicalSlots, LogicalSlots int
	Branch                      bool // the server writes a branch, which is made from its WAL
}

// Needed finds the settings that a state needs and its configuration does not give. A server does not start on
// prepared transactions for which it has no room: that a setting was enough for the server that prepared them is
// known from State.Had. Nor does it start on replication slots that it has no room for, or whose WAL it would not
// write, nor on a branch with wal_level=minimal, which leaves changes out of WAL; and one that does not track commit timestamps removes those that there are.
// Nor can it make a segment by direct I/O with wal_init_zero=off, which mounts have. user is what the user sets for
// the start, which is left as it is. note says in one line what was raised, "" if nothing was.
func Needed(s State, user map[string]string) (settings []api.Setting, note string, err error) {
	prepared, err := s.Files.List("pg_twophase")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	configured, err := configValues(s.Files)
	if err != nil {
		return nil, "", err
	}
	var notes []string
	for _, need := range []struct {
		why  string
		list []need
	}{
		{count(len(prepared), "prepared transaction") + " in this state", s.ofPrepared(len(prepared))},
		{count(s.slots(), "replication slot") + " in this state", s.ofSlots()},
		{"commit timestamps are in this state", s.ofTimestamps()},
		{"a branch is made from WAL, which must have all changes", s.ofBranch()},
		{"new segments of WAL are written by direct I/O, which is of whole blocks", ofDirectIO(inEffect("debug_io_direct", user, configured))},
	} {
		said := ""
		for _, n := range need.list {
			if _, found := user[n.name]; found || !n.lacking(configured[n.name]) {
				continue
			}
			settings = append(settings, api.Setting{Name: n.name, Value: n.value})
			said += " " + n.name + "=" + n.value
		}
		if said != "" {
			notes = append(notes, need.why+", so that"+said)
		}
	}
	return settings, strings.Join(notes, "; "), nil
}

// count says of how many things something is said: "a slot is", "2 slots are".
func count(n int, thing string) string {
	if n == 1 {
		return "a " + thing + " is"
	}
	return fmt.Sprintf("%d %ss are", n, thing)
}

// need is a setting that a state needs.
type need struct {
	name, value string
	lacking     func(configured string) bool // whether what is configured, "" if nothing is, will not do
}

// atLeast needs a number, where a server without configuration has the standard one.
func atLeast(name string, standard, want int64) need {
	return need{name, strconv.FormatInt(want, 10), func(v string) bool { return isBelow(v, standard, want) }}
}

func (s State) slots() int { return s.PhysicalSlots + s.LogicalSlots }

func (s State) ofPrepared(n int) []need {
	if n == 0 {
		return nil
	}
	return []need{
		atLeast("max_prepared_transactions", 0, max(int64(s.Had.MaxPreparedXacts), int64(n))),
		// The locks of prepared transactions are in a table whose size these two say, too.
		atLeast("max_connections", 100, int64(s.Had.MaxConnections)),
		atLeast("max_locks_per_transaction", 64, int64(s.Had.MaxLocksPerXact)),
	}
}

// ofSlots is what RestoreSlotFromDisk asks for, and as many senders as there are slots to stream from.
func (s State) ofSlots() []need {
	if s.slots() == 0 {
		return nil
	}
	level := replicaLevel
	if s.LogicalSlots > 0 {
		level = need{"wal_level", "logical", func(v string) bool { return !strings.EqualFold(v, "logical") }}
	}
	return []need{level, atLeast("max_replication_slots", 10, int64(s.slots())), atLeast("max_wal_senders", 10, int64(s.slots()))}
}

// replicaLevel has WAL that leaves nothing out.
var replicaLevel = need{"wal_level", "replica", func(v string) bool { return strings.EqualFold(v, "minimal") }}

// ofBranch is what a branch needs of its WAL.
func (s State) ofBranch() []need {
	if !s.Branch || s.slots() > 0 { // ofSlots asks for it, too
		return nil
	}
	return []need{replicaLevel}
}

// ofTimestamps keeps commit timestamps that were tracked, where the configuration does not turn them off by name.
func (s State) ofTimestamps() []need {
	if !s.Had.TrackCommitTimestamp {
		return nil
	}
	return []need{{"track_commit_timestamp", "on", func(v string) bool { return v == "" }}}
}

// ofDirectIO has a server that opens new segments for direct I/O fill them with zeros: otherwise it writes their last
// byte alone (XLogFileInitInternal), which such a file refuses.
func ofDirectIO(direct string) []need {
	for name := range strings.SplitSeq(direct, ",") {
		if strings.EqualFold(strings.TrimSpace(name), "wal_init") {
			return []need{{"wal_init_zero", "on", func(string) bool { return true }}}
		}
	}
	return nil
}

// inEffect gives the value of a setting that the user may set, or the configuration.
func inEffect(name string, user, configured map[string]string) string {
	if v, set := user[name]; set {
		return v
	}
	return configured[name]
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
