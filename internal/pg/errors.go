package pg

import "errors"

// Sentinels, for errors.Is.
var (
	// ErrCorrupt is returned when the bytes of a page, a control file or another
	// structure of a data directory break the rules of their format.
	ErrCorrupt = errors.New("corrupt data")
	// ErrUnsupported is returned for what is sound and this program cannot read: as a rule, a record of an
	// extension's own resource manager.
	ErrUnsupported = errors.New("not supported")
	// ErrVersion is returned for a data directory of another major version, or of a
	// PostgreSQL that was built with other sizes.
	ErrVersion = errors.New("unsupported PostgreSQL version")
)
