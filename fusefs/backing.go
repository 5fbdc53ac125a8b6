package fusefs

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
)

// backingDevs has, for each file system, what the kernel lets root set of its cache.
const backingDevs = "/sys/class/bdi"

// cacheLimits are what a mount gets of the page cache, as files of its backing device.
var cacheLimits = []struct{ file, value string }{
	// How far, in KiB, the kernel reads ahead of who reads in sequence: a few requests of the
	// largest size, so that as many processors make pages. The kernel's own 128 are eight times
	// as many requests, and one after the other.
	{"read_ahead_kb", "4096"},
	// Of what may be dirty in all of memory a FUSE mount gets 1 %, and who writes more waits, even
	// if nothing else is dirty. These two are what an ordinary file system has.
	{"strict_limit", "0"},
	{"max_ratio", "100"},
}

// setCacheLimits makes cacheLimits those of the mount at a real path. The protocol can ask for
// less than the defaults only, so it takes root. What the kernel does not know is left out.
func setCacheLimits(dir string) error {
	mounts, err := mountsAt(dir)
	if err != nil {
		return err
	}
	if len(mounts) == 0 {
		return errors.New("the mount is not listed")
	}
	for _, l := range cacheLimits {
		file := filepath.Join(backingDevs, mounts[len(mounts)-1].dev, l.file)
		if err := overwrite(file, l.value); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return fmt.Errorf("limit the mount's cache: %w", err)
		}
	}
	return nil
}

// overwrite writes to a file that is there: in sysfs none can be made.
func overwrite(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
