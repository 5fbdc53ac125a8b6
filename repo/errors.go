package repo

import (
	"errors"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// The package's errors. Each is wrapped with the name of the thing that it is about; test with
// errors.Is.
var (
	// ErrNotFound is returned when a timeline, branch name, relation, block or file does
	// not exist, or did not exist at the LSN of the snapshot.
	ErrNotFound = errors.New("not found")
	// ErrExists is returned when a name or id is taken.
	ErrExists = errors.New("already exists")
	// ErrOutOfRange is returned when a point lies before the first LSN of a timeline or
	// beyond its head, or was forgotten.
	ErrOutOfRange = errors.New("lsn out of range")
	// ErrCorrupt is returned when stored bytes or WAL contradict themselves.
	ErrCorrupt = pg.ErrCorrupt
	// ErrUnsupported is returned when a page's history has a record that redo does not
	// know. Older versions of the page, and those from its next image on, can be read. It is
	// returned, too, for a timeline of a PostgreSQL version that this program does not support.
	ErrUnsupported = pg.ErrUnsupported
	// ErrBusy is returned when a timeline to be deleted has children, when after a crash the WAL
	// of an ancestor was not ingested again up to the branch point yet, and when another process
	// has the store open.
	ErrBusy = store.ErrBusy
	// ErrInvalid is returned for a name or an argument that would be wrong in any state of the
	// repository.
	ErrInvalid = errors.New("invalid argument")
	// ErrClosed is returned after Close, and by calls that were waiting when Close was called.
	ErrClosed = store.ErrClosed
)
