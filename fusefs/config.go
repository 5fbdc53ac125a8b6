package fusefs

// maxStored bounds the files that the branch stores whole: nothing that configures
// a server comes near.
const maxStored = 16 << 20

// store brings the branch's copy of the file up to date.
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

// put stores the file under a path; the caller holds f.storing.
func (f *file) put(path string) error {
	content, err := f.contents()
	if err != nil {
		return err
	}
	return f.t.branch.PutFile(f.t.ctx, path, content)
}

// forget takes the branch's copy away; the caller holds f.storing.
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

// storeMoved changes the branch as a rename asks for, before it is done: the file
// under its new path first, so that at no time both are gone.
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

// removed does what the unlinking of a file asks for, before it is done.
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

// storeAll stores what was written and neither synced nor closed.
func (t *worktree) storeAll() error {
	return t.root.eachFile(func(_ string, f *file) error {
		if f.kind().sync != syncStore {
			return nil
		}
		return f.store()
	})
}
