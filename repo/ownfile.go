package repo

import (
	"context"
	"fmt"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// OwnFile is a version of a file that does not follow from WAL: PutFile stored it, or the
// timeline is a branch and began with it.
type OwnFile struct {
	Path    string
	LSN     pg.LSN // just above what was the head when PutFile was called; or the branch point
	Content []byte // nil: the file was removed
}

// putFileLSN is the LSN at which PutFile stores: inside the record that will follow head, where no
// point can be. All other versions are at LSNs that are multiples of 8.
func putFileLSN(head pg.LSN) pg.LSN { return head + 1 }

// maxPutFile bounds the content, in bytes, so that one update of the store can write it.
const maxPutFile = store.MaxUpdate - 4096

// checkPutFile reports ErrInvalid for a path or content that PutFile cannot store.
func checkPutFile(path string, content []byte) error {
	if err := checkFile(path, content); err != nil {
		return err
	}
	if len(content) > maxPutFile {
		return fmt.Errorf("file %q of %d bytes, more than %d: %w", path, len(content), maxPutFile, ErrInvalid)
	}
	return nil
}

// PutFile stores a file that WAL does not describe, such as configuration; nil content removes it.
// Its LSN is just above LastLSN, so that no snapshot changes that somebody may have read; AtHead
// sees it at once. It is durable on return. The content may have about 1 MiB. After Open the
// caller must ingest the WAL that is on disk before it calls PutFile: until then LastLSN is too low,
// and the file would be older than files that were put before.
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

// PutOwnFile stores a file that OwnFiles of the same timeline in another repository gave, at the same
// LSN, durably. ErrInvalid if that is not above the head.
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

// OwnFiles calls fn with each OwnFile of t itself at an LSN in [from, to], those of one path the newest
// first. The files that a timeline without an ancestor began with are not among them.
func (t *Timeline) OwnFiles(ctx context.Context, from, to pg.LSN, fn func(OwnFile) error) error {
	return eachFile(ctx, t.r.store, "", nil, func(c *cursor, path string) error {
		for at, ok := c.find(t.no, to); ok && at >= from; at, ok = c.next(t.no) {
			if at%8 == 0 && (t.parent == nil || at != t.info.StartLSN) {
				continue // it follows from WAL
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

// noParts is the part of decodeFile for files that PutFile stored: they are never in parts.
func noParts(i int) (fileVersion, error) {
	return fileVersion{}, fmt.Errorf("part %d of a file that has none: %w", i, ErrCorrupt)
}
