package xlog

import (
	"errors"
	"fmt"
	"io"

	"zenith/internal/pg"
)

// Source gives raw WAL bytes, page headers included.
type Source interface {
	// ReadWAL reads WAL from position at into p. It may read less than len(p), down to
	// one byte; it returns io.EOF if there is none at that position (yet), because the
	// segment is missing or ends before it.
	ReadWAL(p []byte, at pg.LSN) (int, error)
}

// ReadFull fills all of p with WAL from position at on. A source that has less is an
// io.ErrUnexpectedEOF; every error names the position that could not be read.
func ReadFull(src Source, p []byte, at pg.LSN) error {
	n, err := readMost(src, p, at)
	var failure *sourceError
	switch {
	case errors.As(err, &failure):
		err = failure.err
	case err == nil && n < len(p):
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read wal at %v: %w", at+pg.LSN(n), err)
	}
	return nil
}

// readMost reads until p is full or the source has no more, which is no error.
func readMost(src Source, p []byte, at pg.LSN) (int, error) {
	n := 0
	for n < len(p) {
		k, err := src.ReadWAL(p[n:], at+pg.LSN(n))
		n += k
		if errors.Is(err, io.EOF) || k == 0 && err == nil {
			return n, nil
		}
		if err != nil {
			return n, &sourceError{err}
		}
	}
	return n, nil
}
