package store

import (
	"errors"

	"zenith/internal/pg"
)

// The package's errors. Each is wrapped with the store or file that it is about; test with errors.Is.
var (
	// ErrCorrupt is returned when a file of the store is damaged or missing.
	ErrCorrupt = pg.ErrCorrupt
	// ErrBusy is returned when another process has the store open.
	ErrBusy = errors.New("busy")
	// ErrClosed is returned by any call after Close.
	ErrClosed = errors.New("store is closed")
)
