package store

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// dirLock keeps other processes from opening a store: a flock of its directory.
type dirLock struct{ dir *os.File }

// lockDir locks a directory. ErrBusy: another process, or another store of this one, has it locked.
func lockDir(path string) (dirLock, error) {
	dir, err := os.Open(path)
	if err != nil {
		return dirLock{}, err
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		dir.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("store %s is in use by another process: %w", path, ErrBusy)
		}
		return dirLock{}, err
	}
	return dirLock{dir}, nil
}

// unlock gives the lock up. badger's own lock only closes the directory: then a child of this
// process that is just being started has the lock, too, until its exec, and to whoever opens the
// store again at once it would be in use.
func (l dirLock) unlock() error {
	return errors.Join(unix.Flock(int(l.dir.Fd()), unix.LOCK_UN), l.dir.Close())
}
