package privileged

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// backingDevs has a directory for each mounted file system, with the limits of its page cache
// that root may change.
const backingDevs = "/sys/class/bdi"

// readAhead is how many bytes the kernel reads ahead of a process that reads in sequence: a few
// requests of the largest size, so that as many processors rebuild pages at once. The kernel's
// default, 128 KiB, makes eight times as many requests, one after the other.
const readAhead = 4 << 20

// maxDirty is how many bytes of a mount may be dirty in the page cache before a process that
// writes has to wait. The kernel's default for FUSE is 1 % of what may be dirty in all of memory,
// and bulk loads wait for that. With no bound, a server whose control group has less memory than
// may be dirty waits even longer.
const maxDirty = 512 << 20

// setCacheLimits sets readAhead and maxDirty on a mount. It takes root: through the FUSE protocol a daemon
// can only ask for less than the kernel's defaults.
func setCacheLimits(m mountInfo) error {
	dev := filepath.Join(backingDevs, m.dev)
	err := errors.Join(overwrite(filepath.Join(dev, "read_ahead_kb"), readAhead>>10), setMaxDirty(dev))
	if err != nil {
		return fmt.Errorf("limit the mount's cache: %w", err)
	}
	return nil
}

// setMaxDirty sets maxDirty on a backing device. Linux before 6.2 has no such limit; then nothing
// is set, which is no error.
func setMaxDirty(dev string) error {
	err := overwrite(filepath.Join(dev, "max_bytes"), maxDirty)
	switch {
	case errors.Is(err, syscall.EINVAL): // maxDirty is more than may be dirty in all of memory
		return overwrite(filepath.Join(dev, "max_ratio"), 100)
	case errors.Is(err, iofs.ErrNotExist):
		return nil
	}
	return err
}

// overwrite writes a number to a file that exists: nobody can create one in sysfs.
func overwrite(path string, n int) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Itoa(n))
	return errors.Join(err, f.Close())
}
