package ingest

import (
	"errors"

	"zenith/internal/pg"
)

// Sentinels, for errors.Is. Damaged WAL is xlog.ErrCorrupt or repo.ErrCorrupt.
var (
	// ErrNotClean is returned when a data directory cannot be imported because it is in
	// use, was not stopped cleanly, or is to be recovered.
	ErrNotClean = errors.New("data directory was not stopped cleanly")
	// ErrDamaged is returned when files of a data directory contradict themselves.
	ErrDamaged = errors.New("data directory is damaged")
	// ErrVersion is returned for a data directory of another PostgreSQL.
	ErrVersion = pg.ErrVersion
	// ErrMinimal is returned when WAL was written with wal_level=minimal.
	ErrMinimal = errors.New("wal_level=minimal leaves changes out of the WAL")
)
