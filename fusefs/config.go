package fusefs

// maxStored is how many bytes a file that the branch stores whole may have. No configuration
// file comes near.
const maxStored = 16 << 20

// store stores the file in the branch, if it has changed since the last time. A file that was
// unlinked is not stored: its path is gone, or another file's.
func (f *file) store() error {
	f.storing.Lock()
	defer f.storing.Unlock()
	f.t.mu.RLock()
	linked, path := f.links > 0, f.pathLocked()
	f.t.mu.RUnlock()
	if changed := f.dirty.Swap(false); !linked || !changed {
		return nil
	}
	if err := f.put(path); err != nil {
		f.dirty.Store(true)
		return err
	}
	f.stored = true
	return nil
}

// put stores the file in the branch under path; the caller holds f.storing.
func (f *file) put(path string) error {
	content, err := f.contents()
	if err != nil {
		return err
	}
	return f.t.branch.PutFile(f.t.ctx, path, content)
}

// forget removes the file from the branch, if it is stored there; the caller holds f.storing.
func (f *file) forget(path string) error {
	if !f.stored {
		return nil
	}
	if err := f.t.branch.PutFile(f.t.ctx, path, nil); err != nil {
		return err
	}
	f.stored = false
	return nil
}

// storeMoved does in the branch what a rename is about to do in the working tree. The file is
// stored under its new path first: a crash in between leaves both paths, never neither.
func (f *file) storeMoved(oldPath, newPath string, becomes *kind) error {
	f.storing.Lock()
	defer f.storing.Unlock()
	put := becomes.sync == syncStore
	if put {
		if err := f.put(newPath); err != nil {
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
// configuration file is removed from the branch.
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

// storeAll stores the configuration files that were written and neither synced nor closed.
func (t *worktree) storeAll() error {
	return t.root.eachFile(func(_ string, f *file) error {
		if f.kind().sync != syncStore {
			return nil
		}
		return f.store()
	})
}
