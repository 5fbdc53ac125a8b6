package fusefs

// maxStored is how many bytes a file that the branch stores whole may have. No configuration
// file comes near.
const maxStored = 16 << 20

// store stores the file in the branch, or among the saved files, if it has changed since the last
// time. A file that was unlinked is not stored: its path is gone, or another file's.
func (f *file) store() error {
	f.storing.Lock()
	defer f.storing.Unlock()
	f.t.mu.RLock()
	linked, path := f.links > 0, f.pathLocked()
	f.t.mu.RUnlock()
	if changed := f.dirty.Swap(false); !linked || !changed {
		return nil
	}
	if err := f.put(path, f.kind()); err != nil {
		f.dirty.Store(true)
		return err
	}
	f.stored = true
	return nil
}

// put stores the file under path, where it is to be of kind k; the caller holds f.storing.
func (f *file) put(path string, k *kind) error {
	if k.keep == keepSaved {
		return f.save(path)
	}
	content, err := f.contents()
	if err != nil {
		return err
	}
	return f.t.branch.PutFile(f.t.ctx, path, content)
}

// forget removes the file from where it is stored, if it is; the caller holds f.storing.
func (f *file) forget(path string) error {
	if !f.stored {
		return nil
	}
	var err error
	if f.kind().keep == keepSaved {
		err = f.t.saved.remove(path)
	} else {
		err = f.t.branch.PutFile(f.t.ctx, path, nil)
	}
	if err != nil {
		return err
	}
	f.stored = false
	return nil
}

// storeMoved does where the file is stored what a rename is about to do in the working tree. The file is
// stored under its new path first: a crash in between leaves both paths, never neither.
func (f *file) storeMoved(oldPath, newPath string, becomes *kind) error {
	f.storing.Lock()
	defer f.storing.Unlock()
	put := becomes.sync == syncStore
	if put {
		if err := f.put(newPath, becomes); err != nil {
			return err
		}
		f.dirty.Store(false)
	}
	if err := f.forget(oldPath); err != nil {
		return err
	}
	f.stored = put
	f.setKind(becomes)
	return nil
}

// removed does what has to be done before the file at path is unlinked. A temporary file of WAL
// is removed from the branch's directory; a segment stays there and is only hidden; a
// configuration file is removed from the branch, and a saved one from those.
func (f *file) removed(path string) error {
	switch k := f.kind(); {
	case k == kindWALTemp:
		return f.t.wal.remove(f.body.path)
	case k == kindSegment:
		f.t.wal.hide(path)
		return nil
	default:
		f.storing.Lock()
		defer f.storing.Unlock()
		return f.forget(path)
	}
}

// storeAll stores the configuration files and the saved ones that were written and neither synced nor closed.
func (t *worktree) storeAll() error {
	return t.root.eachFile(func(_ string, f *file) error {
		if f.kind().sync != syncStore {
			return nil
		}
		return f.store()
	})
}
