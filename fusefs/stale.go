package fusefs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// statPatience is how long a mount may take to answer before it counts as alive
// but slow.
const statPatience = 2 * time.Second

// mountInfo is a line of /proc/self/mountinfo.
type mountInfo struct {
	dev, dir, fsType string
}

// CleanStale unmounts what a killed daemon left mounted at dir, and reports whether
// there was something. A mount that is alive is left alone.
func CleanStale(dir string) (bool, error) {
	dir, err := realPath(dir)
	if err != nil {
		return false, err
	}
	cleaned := false
	for {
		mounts, err := mountsAt(dir)
		if err != nil {
			return cleaned, err
		}
		// The last one hides the others: they can be unmounted only after it.
		if len(mounts) == 0 || !mounts[len(mounts)-1].dead() {
			return cleaned, nil
		}
		if err := unmount(dir, os.Geteuid() == 0, true); err != nil {
			return cleaned, err
		}
		cleaned = true
	}
}

// IsMounted reports whether one of our file systems, dead or alive, is mounted at dir.
func IsMounted(dir string) (bool, error) {
	dir, err := realPath(dir)
	if err != nil {
		return false, err
	}
	mounts, err := mountsAt(dir)
	for _, m := range mounts {
		if m.fsType == "fuse."+fsName {
			return true, nil
		}
	}
	return false, err
}

// realPath gives the path of a mount point as the kernel lists it, without symbolic links. A dead
// mount cannot be looked at, so there only the links on the way to it are resolved; it is none.
func realPath(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real, nil
	}
	if real, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		return filepath.Join(real, filepath.Base(dir)), nil
	}
	return dir, nil
}

// mountsAt lists what is mounted at a real path, the topmost last, without touching it.
func mountsAt(dir string) ([]mountInfo, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	var found []mountInfo
	for line := range strings.Lines(string(text)) {
		if m, ok := parseMountInfo(line); ok && m.dir == dir {
			found = append(found, m)
		}
	}
	return found, nil
}

// parseMountInfo reads: id parent dev root MOUNTPOINT options [field...] - TYPE source options.
func parseMountInfo(line string) (mountInfo, bool) {
	head, tail, ok := strings.Cut(line, " - ")
	fields, types := strings.Fields(head), strings.Fields(tail)
	if !ok || len(fields) < 6 || len(types) < 1 {
		return mountInfo{}, false
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	return mountInfo{dev: fields[2], dir: unescape.Replace(fields[4]), fsType: types[0]}, true
}

// dead reports whether the mount is of this package's and nobody serves it. It calls statfs,
// which the kernel never answers from its caches.
func (m mountInfo) dead() bool {
	if m.fsType != "fuse."+fsName {
		return false
	}
	answer := make(chan error, 1)
	go func() {
		var st unix.Statfs_t
		answer <- unix.Statfs(m.dir, &st)
	}()
	select {
	case err := <-answer:
		return err == unix.ENOTCONN
	case <-time.After(statPatience):
		return false
	}
}
