package walredo

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt is returned when a record or page cannot be what PostgreSQL
	// wrote: too short, out of range, or not fitting each other.
	ErrCorrupt = errors.New("corrupt page or wal record")

	// ErrUnsupported is returned for a record of a resource manager, or an op of
	// one, that the tables do not have.
	ErrUnsupported = errors.New("unsupported wal record")
)

// corrupt makes an error of what is wrong, wrapping ErrCorrupt.
func corrupt(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrCorrupt)...)
}
