package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// badger makes its files large and empty, and writes to them through mapped memory. Where the disk turns
// out to be full then, that is no error but a fault (SIGBUS), which kills the process. So nothing is
// written unless there is room for it and for what badger may make of it meanwhile.
//
// One way is left. A table that badger makes in the background, of a full memtable or in a compaction, is written in
// goroutines of badger's, where a fault cannot be turned into an error (SetPanicOnFault is for the goroutine that calls it).
// If another process takes the last reserveBulk bytes of the disk while that goes on, which is some tens of MiB at a
// time, the page server ends by SIGBUS. Nothing is lost: the memtable's log has all of it, and was reserved. Badger has
// no option to write tables otherwise. A file system of its own for the work directory, or a quota, rules it out.
const (
	reserveBulk  = 128 << 20 // bytes that must be free for a bulk write to go on
	reserveSmall = 32 << 20  // bytes for an update
	reserveOpen  = 8 << 20   // bytes for opening the store, besides those of the tables that its logs become
	// tight is the free space from which on blocks are reserved for the memtables' logs, so that what
	// another process writes cannot take them.
	tight = 1 << 30
)

// freeBytes gives how much room there is on the file system of dir.
func freeBytes(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("store %s: %w", dir, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// wantRoom reports an error if the file system of dir has less than n bytes left. It gives the room.
func wantRoom(dir string, n int64) (int64, error) {
	free, err := freeBytes(dir)
	if err == nil && free < n {
		err = fmt.Errorf("store %s: %d MiB free, want %d: %w", dir, free>>20, n>>20, syscall.ENOSPC)
	}
	return free, err
}

// room reports an error if the disk has less than reserve bytes left, or has none for the logs.
func (s *badgerStore) room(reserve int64) error {
	free, err := wantRoom(s.dir, reserve)
	if err == nil && free < tight {
		err = s.reserveLogs()
	}
	return err
}

// reserveLogs reserves blocks for what the logs of the memtables may grow to.
func (s *badgerStore) reserveLogs() error {
	names, err := listLogs(s.dir, memSuffix)
	if err != nil {
		return err
	}
	size := s.db.Opts().MemTableSize
	for _, name := range names {
		// A transaction, which is at most 15 % of it, comes on top of a log that is just not full.
		if err := reserveFile(filepath.Join(s.dir, name), size+size/5); err != nil {
			return fmt.Errorf("reserve room for the store: %w", err)
		}
	}
	return nil
}

// reserveFile reserves blocks for the first n bytes of a file, whose size stays what it is. It is no
// error if the file is gone, or if the file system cannot do that.
func reserveFile(path string, n int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, n)
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = nil
	}
	if err != nil {
		err = &os.PathError{Op: "fallocate", Path: path, Err: err}
	}
	return errors.Join(err, f.Close())
}

// roomToOpen reports an error if the disk is too full for badger to open the store: it makes tables of
// the logs, which it replaces by new ones.
func (v *survey) roomToOpen() error {
	need := int64(reserveOpen)
	for _, name := range v.mems {
		log, err := scanLog(v.dir, logState{Name: name})
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was empty, and settle has removed it
		}
		if err != nil {
			return err
		}
		need += log.Whole
	}
	_, err := wantRoom(v.dir, need)
	return err
}

// ReadyToClose implements Store: badger makes a table of what is in its memtables when it closes.
func (s *badgerStore) ReadyToClose() error {
	logs, err := listLogs(s.dir, memSuffix)
	if err != nil {
		return err
	}
	_, err = wantRoom(s.dir, reserveOpen+int64(len(logs))*s.db.Opts().MemTableSize)
	return err
}

// faults makes a fault of mapped memory, where the disk cannot read or has no room, a panic of this
// goroutine, which recovered turns into an error. What it gives undoes that.
func faults() (undo func()) {
	old := debug.SetPanicOnFault(true)
	return func() { debug.SetPanicOnFault(old) }
}
