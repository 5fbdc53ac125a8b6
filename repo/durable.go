package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"zenith/internal/pg"
)

// A timeline whose WAL a server writes, which may die in the middle, has a mark: the LSN up
// to which its WAL is known to be durable. What cannot be read below the mark is damage. At
// and behind the mark it is the end, whatever follows: a server that died leaves records that
// were never completed in front of such that were, and a machine that died may keep a later
// page and lose an earlier one. No commit behind such a place was ever acknowledged.
//
// The mark is a file beside the WAL. It may be behind the truth after a crash of the machine,
// never ahead of it: it is written when the WAL up to it has been synced.

func (t *Timeline) markPath() string { return filepath.Join(filepath.Dir(t.WALDir()), "durable") }

// MarkDurable says that the WAL up to lsn is durable, and that a server may write it from
// there on.
func (t *Timeline) MarkDurable(lsn pg.LSN) error {
	f, err := os.OpenFile(t.markPath(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		// A sector at most: whole or not at all.
		_, err = f.WriteAt([]byte(lsn.PathString()+"\n"), 0)
	}
	if err == nil && info.Size() == 0 {
		// A machine that dies would leave an empty file; later on, an older mark.
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Durable gives the mark; ok is false for a timeline that no server writes.
func (t *Timeline) Durable() (lsn pg.LSN, ok bool, err error) {
	text, err := os.ReadFile(t.markPath())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	if len(text) == 0 { // the machine died before the first mark: no server has written yet
		return 0, false, nil
	}
	const digits = 16
	if len(text) < digits {
		return 0, false, fmt.Errorf("%s: %d bytes: %w", t.markPath(), len(text), ErrCorrupt)
	}
	lsn, err = pg.ParseLSN(string(text[:digits]))
	if err != nil {
		return 0, false, fmt.Errorf("%s: %w: %w", t.markPath(), err, ErrCorrupt)
	}
	return lsn, true, nil
}

// PrepareWAL says that WAL from elsewhere will be written from the head on: if we die, what
// stands behind the last complete record is no damage. All WAL that is there must have been
// ingested.
func (t *Timeline) PrepareWAL() error {
	if err := t.MakeDirs(); err != nil {
		return err
	}
	head := t.LastLSN()
	if mark, ok, err := t.Durable(); err != nil || ok && mark >= head {
		return err
	}
	return t.MarkDurable(head)
}
