package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"zenith/internal/durable"
	"zenith/internal/pg"
)

func (d Dir) markPath() string { return filepath.Join(filepath.Dir(d.Path), "durable") }

// MarkDurable moves the mark to lsn: the WAL up to there is durable, and a server may write it from
// there on. A damaged mark is moved aside.
func (d Dir) MarkDurable(lsn pg.LSN) error {
	mark := []byte(lsn.PathString() + "\n")
	_, there, err := d.Durable()
	if errors.Is(err, pg.ErrCorrupt) {
		_, err = durable.MoveAside(d.markPath())
	}
	if err != nil {
		return err
	}
	if !there {
		return durable.WriteFile(d.markPath(), mark, 0o600)
	}
	f, err := os.OpenFile(d.markPath(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	// In place and not synced, since this happens several times a second: it is a sector at most,
	// whole or not at all, and a machine that dies may leave an older mark.
	_, err = f.WriteAt(mark, 0)
	return errors.Join(err, f.Close())
}

// Durable gives the mark; ok is false if there is none, since no server writes this WAL. ErrCorrupt:
// its file is damaged.
func (d Dir) Durable() (lsn pg.LSN, ok bool, err error) {
	text, err := os.ReadFile(d.markPath())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	const digits = 16
	if len(text) < digits {
		return 0, false, fmt.Errorf("%s: %d bytes: %w", d.markPath(), len(text), pg.ErrCorrupt)
	}
	lsn, err = pg.ParseLSN(string(text[:digits]))
	if err != nil {
		return 0, false, fmt.Errorf("%s: %w: %w", d.markPath(), err, pg.ErrCorrupt)
	}
	return lsn, true, nil
}
