package fusefs

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"zenith/internal/durable"
	"zenith/internal/pg"
)

// saved has the files that PostgreSQL makes durable itself and that no WAL describes: replication
// slots, the state of archiving, snapshots and mappings of logical decoding. Each is in
// saved/files/<path>, below the mount's own directory, as it was when it was last synced, renamed or
// closed, durably; there is no file for a path that the server has removed. So they outlive every
// crash, and belong to the branch's head whatever it is: PostgreSQL lets none of them run ahead of the
// WAL that it has made durable.
type saved struct {
	dir string // the directory with the files

	mu sync.Mutex // held while files and directories are made and removed
}

const savedName = "saved"

// savedIn gives the saved files of the mounts whose own directory is workDir.
func savedIn(workDir string) *saved {
	return &saved{dir: filepath.Join(workDir, savedName, keepFiles)}
}

// openSaved makes the directory for the saved files of a branch, if there is none. A branch whose
// mounts did not save files yet may have some of them among its kept ones: those are taken.
func openSaved(workDir string, v *pg.Version, k *kept) (*saved, error) {
	s := savedIn(workDir)
	_, err := os.Stat(s.dir)
	fresh := errors.Is(err, iofs.ErrNotExist)
	if err != nil && !fresh {
		return nil, err
	}
	for path, f := range k.files {
		if kindOf(v, path).keep != keepSaved {
			continue
		}
		delete(k.files, path)
		if fresh {
			err := s.put(path, func(disk *os.File) error { return copyToDisk(context.Background(), f, disk) })
			if err != nil {
				return nil, err
			}
		}
	}
	return s, s.makeDir("")
}

// makeDir makes the directory at path below that of the files, and those above it, durably.
func (s *saved) makeDir(path string) error {
	at := filepath.Dir(filepath.Dir(s.dir)) // the mount's own directory
	for part := range strings.SplitSeq(filepath.Join(savedName, keepFiles, path), "/") {
		parent := at
		at = filepath.Join(at, part)
		if err := os.Mkdir(at, 0o700); errors.Is(err, iofs.ErrExist) {
			continue
		} else if err != nil {
			return err
		}
		if err := durable.SyncDir(parent); err != nil {
			return err
		}
	}
	return nil
}

// put saves what fill writes as the file at path.
func (s *saved) put(path string, fill func(*os.File) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.makeDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	if err := durable.Replace(filepath.Join(s.dir, path), 0o600, fill); err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	return nil
}

// remove removes the saved file at path, if there is one, and the directories that are empty then.
func (s *saved) remove(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := filepath.Join(s.dir, path)
	if err := os.Remove(name); errors.Is(err, iofs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	dir := filepath.Dir(name)
	for ; dir != s.dir; dir = filepath.Dir(dir) {
		if err := os.Remove(dir); errors.Is(err, syscall.ENOTEMPTY) {
			break
		} else if err != nil {
			return err
		}
	}
	return durable.SyncDir(dir)
}

// takeWAL saves the files of a pg_wal that was bound, and notes which segments are there.
func (s *saved) takeWAL(dir boundDir) error {
	names, err := dir.others()
	if err != nil {
		return err
	}
	segments, err := segmentsIn(dir.path)
	if err != nil {
		return err
	}
	if err := s.makeDir(""); err != nil {
		return err
	}
	there := map[string]bool{}
	for _, name := range names {
		path := filepath.Join(walDir, name)
		there[path] = true
		if err := s.takeFile(path, dir, name); err != nil {
			return err
		}
	}
	// The names of empty files are not durable yet: there may be thousands.
	if err := s.makeDir(walDir + "/" + archiveStatus); err != nil {
		return err
	}
	for _, d := range []string{walDir, walDir + "/" + archiveStatus} {
		if err := durable.SyncDir(filepath.Join(s.dir, d)); err != nil {
			return err
		}
	}
	err = s.each(func(path, _ string) error {
		if !strings.HasPrefix(path, walDir+"/") || there[path] {
			return nil
		}
		return s.remove(path)
	})
	if err != nil {
		return err
	}
	return s.noteHad(segments)
}

// takeFile saves the file that is called name in dir as the one at path. The name of an empty file is
// not durable yet.
func (s *saved) takeFile(path string, dir boundDir, name string) (err error) {
	from, err := dir.open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	fi, err := from.Stat()
	if err != nil {
		return err
	}
	if fi.Size() == 0 {
		if err := s.makeDir(filepath.Dir(path)); err != nil {
			return err
		}
		made, err := os.OpenFile(filepath.Join(s.dir, path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return made.Close()
		}
		if had, serr := os.Stat(filepath.Join(s.dir, path)); serr == nil && had.Size() == 0 {
			return nil
		}
	}
	return s.put(path, func(disk *os.File) error { _, err := io.Copy(disk, from); return err })
}

// each calls fn with the path of each saved file, and the name that it has on disk.
func (s *saved) each(fn func(path, name string) error) error {
	return filepath.WalkDir(s.dir, func(name string, e iofs.DirEntry, err error) error {
		if errors.Is(err, iofs.ErrNotExist) && name == s.dir {
			return nil
		}
		if err != nil || e.IsDir() || durable.Leftover(name) {
			return err
		}
		return fn(strings.TrimPrefix(name, s.dir+"/"), name)
	})
}

// show adds the saved files to those that the mount shows in place of the base's. The mount reads them
// under second names in the directory private: the first ones lead to newer contents as soon as the
// server syncs a file.
func (s *saved) show(k *kept, private string) error {
	n := 0
	return s.each(func(path, name string) error {
		n++
		shown := filepath.Join(private, "saved-"+strconv.Itoa(n))
		if err := os.Link(name, shown); err != nil {
			return err
		}
		fi, err := os.Stat(shown)
		if err != nil {
			return err
		}
		k.files[path] = &keptFile{path: shown, size: fi.Size()}
		return nil
	})
}

// save saves the file under path.
func (f *file) save(path string) (err error) {
	if err := f.body.acquire(); err != nil {
		return err
	}
	err = f.t.saved.put(path, func(disk *os.File) error {
		p := make([]byte, fillChunk)
		for off := int64(0); ; {
			n, err := f.body.read(f.t.ctx, p, off)
			if err != nil || n == 0 {
				return err
			}
			if _, err := disk.Write(p[:n]); err != nil {
				return err
			}
			off += int64(n)
		}
	})
	return errors.Join(err, f.body.release())
}
