package fusefs

import (
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"

	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/tree"
)

// keeper writes the files that a working tree leaves for the next mount.
type keeper struct {
	t      *worktree
	root   string
	clean  bool // postgres was stopped cleanly
	marker *marker
}

// dir keeps those of a directory's files that the next mount needs. path is the directory's present one.
func (k *keeper) dir(path string, d *dir) error {
	if b := k.t.wal.bound(); b != nil && d.from == walDir {
		var err error
		k.marker.WAL, err = segmentsIn(b.dir)
		return err
	}
	if !d.loaded.Load() {
		return k.unseen(path, d.from)
	}
	k.t.mu.RLock()
	names := maps.Clone(d.children)
	k.t.mu.RUnlock()
	for name, c := range names {
		var err error
		switch c := c.(type) {
		case *dir:
			err = k.dir(tree.Join(path, name), c)
		case *file:
			err = k.file(tree.Join(path, name), c, names)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unseen keeps the files of a directory that was never used on this mount. The last mount kept
// them. The directory was at from and is at path now.
func (k *keeper) unseen(path, from string) error {
	if from == walDir {
		k.marker.WAL = append(k.marker.WAL, k.t.wal.visible...)
	}
	if k.t.kept == nil {
		return nil
	}
	for old, f := range k.t.kept.files {
		rest, ok := tree.Below(from, old)
		if !ok {
			continue
		}
		now := tree.Join(path, rest)
		if k.wants(now, k.t.kindOf(now), nil) {
			if err := k.link(now, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// file keeps a file, if it is to be kept. siblings are the names in its directory.
func (k *keeper) file(path string, f *file, siblings map[string]child) error {
	if f.kind() == kindSegment {
		k.marker.WAL = append(k.marker.WAL, filepath.Base(path))
		return nil
	}
	wanted := k.wants(path, f.kind(), siblings)
	if !wanted && k.clean {
		var err error
		if wanted, err = f.isSequence(path); err != nil {
			return err
		}
	}
	if !wanted {
		return nil
	}
	if !f.body.hasPrivate() && !f.body.whole() { // an empty file is whole without a private file, and may be new
		if f.kept == nil {
			return nil // not changed: the next base shows it, too
		}
		return k.link(path, f.kept)
	}
	if err := f.body.acquire(); err != nil {
		return err
	}
	err := f.body.fill(k.t.ctx)
	if err == nil {
		err = k.makeDir(path)
	}
	if err == nil {
		err = f.body.rename(filepath.Join(k.root, path))
	}
	if err == nil {
		err = f.body.sync()
	}
	return errors.Join(err, f.body.release())
}

// wants reports whether a file is to be kept. siblings are the names in its directory; nil means
// that it was kept already, so that the last mount has looked at them.
func (k *keeper) wants(path string, kd *kind, siblings map[string]child) bool {
	switch {
	case kd.keep == keepAlways:
		return true
	case !k.clean || kd.keep == keepSaved:
		return false
	case kd.keep == keepClean || siblings == nil:
		return true
	}
	return unlogged(k.t.branch.Version(), path, siblings)
}

// unlogged reports whether path is a file of an unlogged relation, which is one with an init
// fork, but not of that fork: init forks are in WAL.
func unlogged(v *pg.Version, path string, siblings map[string]child) bool {
	p := v.ParsePath(path)
	if p.Kind != pg.PathRelation || p.Fork.Fork == pg.InitFork {
		return false
	}
	initFork := p.Fork
	initFork.Fork = pg.InitFork
	return siblings[filepath.Base(v.RelPath(initFork, 0))] != nil
}

// sequenceMagic is SEQ_MAGIC of commands/sequence.c, in a sequence's special area.
const sequenceMagic = 0x1717

// isSequence reports whether the file is a sequence that was used. WAL runs ahead of a sequence,
// by up to 32 values. After a crash those are skipped; after a clean stop they must not be, so the
// page is kept that says how many were really used.
func (f *file) isSequence(path string) (bool, error) {
	p := f.t.branch.Version().ParsePath(path)
	if p.Kind != pg.PathRelation || p.Fork.Fork != pg.MainFork || !f.body.hasPrivate() && f.kept == nil {
		return false, nil
	}
	if f.size() != pg.BlockSize {
		return false, nil
	}
	content, err := f.contents()
	if err != nil || len(content) != pg.BlockSize {
		return false, err
	}
	const special = pg.BlockSize - 8
	return pg.Page(content).Special() == special && binary.LittleEndian.Uint32(content[special:]) == sequenceMagic, nil
}

// link keeps a file that is on disk already, by a second name of it.
func (k *keeper) link(path string, f *keptFile) error {
	if err := k.makeDir(path); err != nil {
		return err
	}
	return os.Link(f.path, filepath.Join(k.root, path))
}

func (k *keeper) makeDir(path string) error {
	return os.MkdirAll(filepath.Dir(filepath.Join(k.root, path)), 0o700)
}

// finish makes the names durable and then writes the marker.
func (k *keeper) finish(dir string) error {
	err := filepath.WalkDir(k.root, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return durable.SyncDir(path)
	})
	if err != nil {
		return err
	}
	return markerKind.Write(filepath.Join(dir, markerName), *k.marker, k.t.opts.Log)
}
