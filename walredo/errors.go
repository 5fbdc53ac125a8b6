package walredo

import (
	"errors"
	"fmt"

	"zenith/internal/pg"
)

var (
	// ErrCorrupt is returned when a record or page cannot be what PostgreSQL
	// wrote: too short, out of range, or not fitting each other. It is package
	// pg's, since most of the checks are there.
	ErrCorrupt = pg.ErrCorrupt

	// ErrUnsupported is returned for a record of a resource manager, or an op of
	// one, that the tables do not have.
	ErrUnsupported = errors.New("unsupported wal record")
)

// corrupt makes an error of what is wrong, wrapping ErrCorrupt.
func corrupt(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrCorrupt)...)
}

// errUntouched is the answer to a page that the record has nothing to do with.
var errUntouched = corrupt("record does not change the page")
