package fusefs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// readAhead is how far, in bytes, the kernel reads ahead of who reads in sequence: a few
// requests of the largest size, so that as many processors make pages. The kernel's own 128 KiB
// are eight times as many requests, and one after the other.
const readAhead = 4 << 20

// backingDevs has, for each file system, what the kernel lets root set of its cache.
const backingDevs = "/sys/class/bdi"

// setReadAhead makes the kernel read that far ahead on the mount at a real path. The protocol can
// only ask for less than the default, so it takes root.
func setReadAhead(dir string) error {
	mounts, err := mountsAt(dir)
	if err != nil {
		return err
	}
	if len(mounts) == 0 {
		return errors.New("the mount is not listed")
	}
	file := filepath.Join(backingDevs, mounts[len(mounts)-1].dev, "read_ahead_kb")
	if err := os.WriteFile(file, []byte(strconv.Itoa(readAhead>>10)), 0); err != nil {
		return fmt.Errorf("set readahead: %w", err)
	}
	return nil
}
