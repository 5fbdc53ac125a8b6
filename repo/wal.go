package repo

import "zenith/internal/pg"

// WAL reads the WAL of a timeline from segment files, its ancestors' included. It is
// an xlog.Source.
type WAL struct{}

// ReadWAL reads raw WAL bytes from at. It may read fewer than asked for; io.EOF when
// there are none.
func (w *WAL) ReadWAL(p []byte, at pg.LSN) (int, error) { return 0, errStub }
