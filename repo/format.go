package repo

import (
	"fmt"
	"runtime/debug"

	"zenith/repo/store"
)

// The layout of keys and values has a version, which is in the store. A store of any layout since oldestFormat is
// brought to the present one when it is opened; one that is newer than the program is refused, since the program
// would delete what it does not know that somebody needs. A change that an earlier program would not notice at its
// peril gets a new version, an entry in upgrades, and a kept store in testdata (format_test.go).
const (
	formatVersion = 6
	oldestFormat  = 5 // before that, chunks had the records themselves
)

// upgrades bring a store from a layout to the next one. Each may be interrupted, and is then done again.
var upgrades = map[int]func(store.Store) error{
	// Layout 6 has rows of tags, which pin points; more in the rows of timelines; and how many bytes are whose.
	5: countSpace,
}

// formatRow stores the version of a store's layout, and which program brought the store to it.
type formatRow struct {
	Version int
	By      string `json:",omitempty"`
}

// checkFormat brings the store to the layout that this code reads and writes. ErrUnsupported if it cannot.
func checkFormat(s store.Store) error {
	key := []byte{byte(kindFormat)}
	row := formatRow{Version: formatVersion}
	found, err := readRow(s, key, &row)
	switch {
	case err != nil:
		return err
	case row.Version > formatVersion:
		return fmt.Errorf("store has layout %d, which %s made, and this program knows layouts %d to %d: take a newer zenith: %w",
			row.Version, orUnknown(row.By), oldestFormat, formatVersion, ErrUnsupported)
	case row.Version < oldestFormat:
		return fmt.Errorf("store has layout %d, and this program knows layouts %d to %d: %w", row.Version, oldestFormat, formatVersion, ErrUnsupported)
	case found && row.Version == formatVersion:
		return nil
	}
	for ; row.Version < formatVersion; row.Version++ {
		if err := upgrades[row.Version](s); err != nil {
			return fmt.Errorf("bring the store from layout %d to %d: %w", row.Version, row.Version+1, err)
		}
	}
	if err := s.Update([]store.Op{rowOp(key, formatRow{formatVersion, thisProgram()})}); err != nil {
		return err
	}
	return s.Sync()
}

func orUnknown(program string) string {
	if program == "" {
		return "a newer zenith"
	}
	return program
}

// thisProgram names the program and its version, for the message of an older one that cannot open the store.
func thisProgram() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "zenith"
	}
	return "zenith " + info.Main.Version
}
