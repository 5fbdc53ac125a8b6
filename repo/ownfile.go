package repo

import (
	"context"
	"fmt"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// OwnFile is a version of a file that does not follow from WAL: PutFile stored it, or the
// timeline began with it as a branch.
type OwnFile struct {
	Path    string
	LSN     pg.LSN // inside the record that follows a head; or the branch point
	Content []byte // nil: removed
}

// putFileLSN is where PutFile stores: inside the record that will follow head, where no
// point can be.
func putFileLSN(head pg.LSN) pg.LSN { return head + 1 }

// maxPutFile bounds what PutFile stores in one update.
const maxPutFile = store.MaxUpdate - 4096

func checkPutFile(path string, content []byte) error {
	if err := checkFile(path, content); err != nil {
		return err
	}
	if len(content) > maxPutFile {
		return fmt.Errorf("file %q of %d bytes, more than %d: %w", path, len(content), maxPutFile, ErrInvalid)
	}
	return nil
}

// PutFile stores a file that WAL does not describe, as configuration: nil content
// removes it. It is stored just above LastLSN, so that no view that could have been
// seen changes; AtHead sees it at once. It is durable on return. Before WAL that was
// on disk when the repository was opened is ingested again, LastLSN is too low for it.
// The content is at most 1 MiB, about.
func (t *Timeline) PutFile(ctx context.Context, path string, content []byte) error {
	if err := checkPutFile(path, content); err != nil {
		return err
	}
	if err := t.takeTurn(ctx); err != nil {
		return err
	}
	defer t.giveTurn()
	return t.storeOwnFile(OwnFile{Path: path, LSN: putFileLSN(t.LastLSN()), Content: content})
}

// PutOwnFile stores what OwnFiles of the same timeline in another repository gave, above
// the head and at the same LSN, durably.
func (t *Timeline) PutOwnFile(ctx context.Context, f OwnFile) error {
	if err := checkPutFile(f.Path, f.Content); err != nil {
		return err
	}
	if err := t.takeTurn(ctx); err != nil {
		return err
	}
	defer t.giveTurn()
	if f.LSN%8 == 0 || f.LSN < putFileLSN(t.LastLSN()) {
		return fmt.Errorf("file %q of %s at %v, whose head is %v: %w", f.Path, t.Name(), f.LSN, t.LastLSN(), ErrInvalid)
	}
	return t.storeOwnFile(f)
}

// storeOwnFile stores f durably. The caller has the turn.
func (t *Timeline) storeOwnFile(f OwnFile) error {
	if err := t.r.update(stampedOp(appendVersion(appendFile(nil, f.Path), t.no, f.LSN), encodeFile(f.Content))); err != nil {
		return fmt.Errorf("store %q: %w", f.Path, err)
	}
	return nil
}

// OwnFiles calls fn with t's own versions of files at LSNs in [from, to] that do not follow
// from its WAL. What a timeline without an ancestor began with is not among them.
func (t *Timeline) OwnFiles(ctx context.Context, from, to pg.LSN, fn func(OwnFile) error) error {
	return eachFile(ctx, t.r.store, "", nil, func(c *cursor, path string) error {
		for at, ok := c.find(t.no, to); ok && at >= from; at, ok = c.next(t.no) {
			if at%8 == 0 && (t.parent == nil || at != t.info.StartLSN) {
				continue // a record's
			}
			body, err := c.value()
			var f fileVersion
			if err == nil {
				f, err = decodeFile(body, at, noParts)
			}
			if err == nil {
				err = fn(OwnFile{Path: path, LSN: at, Content: f.content})
			}
			if err != nil {
				return fmt.Errorf("file %q at %v: %w", path, at, err)
			}
		}
		return nil
	})
}

// noParts is for files that PutFile stored.
func noParts(i int) (fileVersion, error) {
	return fileVersion{}, fmt.Errorf("part %d of a file that has none: %w", i, ErrCorrupt)
}
