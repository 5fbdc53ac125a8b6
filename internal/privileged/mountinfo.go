package privileged

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// statPatience is how long a mount may take to answer before it counts as alive but slow.
const statPatience = 2 * time.Second

// mountInfo is a line of /proc/self/mountinfo.
type mountInfo struct {
	id               MountID
	dev, dir, fsType string
}

// ours reports whether the mount is one of zenith's, of any process.
func (m mountInfo) ours() bool { return m.fsType == "fuse."+FSName }

// connection is the kernel's number of a FUSE connection: the minor number of its device.
func (m mountInfo) connection() string {
	_, minor, _ := strings.Cut(m.dev, ":")
	return minor
}

// IsMounted reports whether a file system of zenith's, dead or alive, is mounted at dir.
func IsMounted(dir string) (bool, error) {
	dir, err := RealPath(dir)
	if err != nil {
		return false, err
	}
	mounts, err := mountsAt(dir)
	for _, m := range mounts {
		if m.ours() {
			return true, nil
		}
	}
	return false, err
}

// RealPath gives the path of a mount point as the kernel lists it, without symbolic links. A dead
// mount cannot be looked at, so there only the links on the way to it are resolved; it is none.
func RealPath(dir string) (string, error) {
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

// listMounts lists the mounts that this process sees for which keep is true, the topmost of a directory last,
// without touching them.
func listMounts(keep func(mountInfo) bool) ([]mountInfo, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	var found []mountInfo
	for line := range strings.Lines(string(text)) {
		if m, ok := parseMountInfo(line); ok && keep(m) {
			found = append(found, m)
		}
	}
	return found, nil
}

// mountsAt lists what is mounted at a real path, the topmost last.
func mountsAt(dir string) ([]mountInfo, error) {
	return listMounts(func(m mountInfo) bool { return m.dir == dir })
}

// parseMountInfo reads: ID parent dev root MOUNTPOINT options [field...] - TYPE source options.
func parseMountInfo(line string) (mountInfo, bool) {
	head, tail, ok := strings.Cut(line, " - ")
	fields, types := strings.Fields(head), strings.Fields(tail)
	if !ok || len(fields) < 6 || len(types) < 1 {
		return mountInfo{}, false
	}
	id, err := strconv.Atoi(fields[0])
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	return mountInfo{id: MountID(id), dev: fields[2], dir: unescape.Replace(fields[4]), fsType: types[0]}, err == nil
}

// dead reports whether the mount is of zenith's and nobody serves it. It calls statfs,
// which the kernel never answers from its caches.
func (m mountInfo) dead() bool {
	if !m.ours() {
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
