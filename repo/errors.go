package repo

import (
	"errors"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// The package's errors. Each is wrapped with what was asked for; test with errors.Is.
var (
	// ErrNotFound is returned when a timeline, branch name, relation, block or file does
	// not exist, or did not at the LSN of the snapshot.
	ErrNotFound = errors.New("not found")
	// ErrExists is returned when a name or id is taken.
	ErrExists = errors.New("already exists")
	// ErrOutOfRange is returned when a point lies before the first LSN of a timeline, or
	// beyond its head.
	ErrOutOfRange = errors.New("lsn out of range")
	// ErrCorrupt is returned when stored bytes or WAL contradict themselves.
	ErrCorrupt = pg.ErrCorrupt
	// ErrUnsupported is returned when a page's history has a record that redo does not
	// know. Older versions of the page, and those from its next image on, can be read. It is
	// returned, too, for a timeline of a PostgreSQL version that this program does not support.
	ErrUnsupported = errors.New("not supported")
	// ErrBusy is returned when a timeline to be deleted has children, when an ancestor has
	// not come back to the branch point after a crash, and when another process has the
	// store open.
	ErrBusy = store.ErrBusy
	// ErrInvalid is returned for a name or an argument that can never be right.
	ErrInvalid = errors.New("invalid argument")
	// ErrClosed is returned after Close, and by whatever waited when Close was called.
	ErrClosed = store.ErrClosed
)
