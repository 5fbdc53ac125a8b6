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

// OwnFiles calls fn with t's own versions of files at LSNs in [from, to] that do not follow
// from its WAL. What a timeline without an ancestor began with is not among them.
func (t *Timeline) OwnFiles(ctx context.Context, from, to pg.LSN, fn func(OwnFile) error) error {
	return eachObject(t.r.store, []byte{byte(kindFile)}, nil, func(c *cursor, object []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		path, ok := parseFile(object)
		if !ok {
			return fmt.Errorf("key %x: %w", object, ErrCorrupt)
		}
		if isPart(path) { // of a file that WAL tells of
			return nil
		}
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

// PutOwnFile stores what OwnFiles of the same timeline in another repository gave, above
// the head and at the same LSN, durably.
func (t *Timeline) PutOwnFile(ctx context.Context, f OwnFile) error {
	if err := checkFile(f.Path, f.Content); err != nil {
		return err
	}
	if len(f.Content) > maxPutFile {
		return fmt.Errorf("file %q of %d bytes, more than %d: %w", f.Path, len(f.Content), maxPutFile, ErrInvalid)
	}
	if err := t.takeTurn(ctx); err != nil {
		return err
	}
	defer t.giveTurn()
	if f.LSN%8 == 0 || f.LSN < putFileLSN(t.LastLSN()) {
		return fmt.Errorf("file %q of %s at %v, whose head is %v: %w", f.Path, t.Name(), f.LSN, t.LastLSN(), ErrInvalid)
	}
	key := appendVersion(appendFile(nil, f.Path), t.no, f.LSN)
	if err := t.r.store.Update([]store.Op{sealedOp(key, encodeFile(f.Content))}); err != nil {
		return fmt.Errorf("store %q: %w", f.Path, err)
	}
	return t.r.store.Sync()
}

// EachRelation calls fn with each existing fork of s, SLRU segments among them, in the order
// of the store, until fn returns an error.
func (s *Snapshot) EachRelation(ctx context.Context, fn func(rf pg.RelFork, n pg.BlockNumber) error) error {
	return s.relations(ctx, []byte{byte(kindRelSize)}, func(pg.RelFork) bool { return true }, fn)
}
