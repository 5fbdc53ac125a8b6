package xlog

import (
	"errors"
	"fmt"

	"zenith/internal/pg"
)

// Sentinels, for errors.Is.
var (
	// ErrCorrupt is returned when WAL bytes break the rules of their format. It is a
	// pg.ErrCorrupt, for callers to whom all bad bytes are alike.
	ErrCorrupt error = corruptWAL{}
	// ErrVersion is returned for WAL of another major version of PostgreSQL.
	ErrVersion = errors.New("wal of an unsupported PostgreSQL version")
)

type corruptWAL struct{}

func (corruptWAL) Error() string { return "corrupt wal record" }
func (corruptWAL) Unwrap() error { return pg.ErrCorrupt }

// Damage is the error of Reader.Next when the WAL is broken at one place and goes on
// behind it, so that the place cannot be its end. It is an ErrCorrupt.
//
// After a crash of the machine WAL that was never flushed may look so too: its pages
// reach the disk in any order. A caller that knows how far the WAL was
// flushed can tell the two apart: damage is at an LSN below that.
type Damage struct {
	At    pg.LSN // the record that cannot be read
	Proof pg.LSN // the page or record behind it that is sound
	Err   error  // what is wrong at At
}

// Error names the record that cannot be read, and the sound place behind it.
func (d *Damage) Error() string {
	return fmt.Sprintf("wal is damaged at %v, yet goes on at %v: %v", d.At, d.Proof, d.Err)
}

// Unwrap makes a Damage an ErrCorrupt.
func (d *Damage) Unwrap() []error { return []error{ErrCorrupt, d.Err} }

// errNoVersion is returned if the caller gives no version. To assume one would be to read another
// major's records wrongly, without an error.
var errNoVersion = errors.New("no PostgreSQL version is given for the wal")

// errForeign marks a page that is sound but not of this cluster.
var errForeign = fmt.Errorf("another cluster's wal: %w", ErrCorrupt)

// errShortWAL marks the place where the source has no more bytes.
var errShortWAL = errors.New("no more wal")

// sourceError is a failure of the Source, which says nothing about the WAL.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return "read wal: " + e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }
