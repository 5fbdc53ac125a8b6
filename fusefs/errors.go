package fusefs

import (
	"errors"

	"zenith/internal/privileged"
)

// The sentinels of this package.
var (
	// ErrBusy is returned when a mount cannot go because it is in use, or a mount
	// point is taken by another mount.
	ErrBusy = privileged.ErrBusy
	// ErrNotEmpty is returned for a mount point that has something in it.
	ErrNotEmpty = privileged.ErrNotEmpty
	// ErrStale is returned for a mount point whose daemon is gone: see privileged.Helper.
	ErrStale = privileged.ErrStale
	// ErrNotAllowed is returned for changes that a working tree refuses, because they would not
	// be in WAL and the branch would never learn of them.
	ErrNotAllowed = errors.New("not allowed")
)

// errTooLarge is returned when a file that the branch stores whole grows too large for that.
var errTooLarge = errors.New("too large to be stored in the branch")

// errLookAgain is returned when the node that the kernel has for a name is not the one that has
// the name now; the kernel then looks the name up again.
var errLookAgain = errors.New("look the name up again")
