package fusefs

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// backingDevs has, for each file system, what the kernel lets root set of its cache.
const backingDevs = "/sys/class/bdi"

// readAhead is how far, in bytes, the kernel reads ahead of who reads in sequence: a few
// requests of the largest size, so that as many processors make pages. The kernel's own 128 KiB
// are eight times as many requests, and one after the other.
const readAhead = 4 << 20

// maxDirty is how much of a mount, in bytes, may be dirty before who writes has to wait. The
// kernel's own bound is 1 % of what may be dirty in all of memory, for which bulk loads wait. With
// none, a server whose control group has less memory than may be dirty waits all the more.
const maxDirty = 512 << 20

// setCacheLimits sets both on the mount at a real path. The protocol can ask for less than the
// kernel's own only, so it takes root.
func setCacheLimits(dir string) error {
	mounts, err := mountsAt(dir)
	if err != nil {
		return err
	}
	if len(mounts) == 0 {
		return errors.New("the mount is not listed")
	}
	dev := filepath.Join(backingDevs, mounts[len(mounts)-1].dev)
	err = errors.Join(overwrite(filepath.Join(dev, "read_ahead_kb"), readAhead>>10), setMaxDirty(dev))
	if err != nil {
		return fmt.Errorf("limit the mount's cache: %w", err)
	}
	return nil
}

// setMaxDirty sets maxDirty on a backing device; before Linux 6.2, which cannot, nothing.
func setMaxDirty(dev string) error {
	err := overwrite(filepath.Join(dev, "max_bytes"), maxDirty)
	switch {
	case errors.Is(err, syscall.EINVAL): // it is more than may be dirty in all
		return overwrite(filepath.Join(dev, "max_ratio"), 100)
	case errors.Is(err, iofs.ErrNotExist):
		return nil
	}
	return err
}

// overwrite writes a number to a file that is there: in sysfs none can be made.
func overwrite(path string, n int) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Itoa(n))
	return errors.Join(err, f.Close())
}
