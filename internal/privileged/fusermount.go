package privileged

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// fusermount mounts for an ordinary user. fusermount3 checks the mount point itself, and sends /dev/fuse through a
// socket.
func (s MountSpec) fusermount(*os.File) (*os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "fusermount3"), os.NewFile(uintptr(pair[1]), "fusermount3")
	defer ours.Close()
	options := []string{"fsname=" + FSName, "subtype=" + FSName, "nosuid", "nodev", "noexec", "default_permissions", fmt.Sprintf("max_read=%d", s.MaxRead)}
	if s.ReadOnly {
		options = append(options, "ro")
	}
	cmd := exec.Command("fusermount3", "-o", strings.Join(options, ","), "--", s.Dir)
	cmd.Env = []string{"_FUSE_COMMFD=3"}
	cmd.ExtraFiles = []*os.File{theirs}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = errors.Join(cmd.Run(), theirs.Close())
	if err != nil {
		return nil, fmt.Errorf("fusermount3: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	_, files, err := receive(ours, make([]byte, 1), 1)
	if err == nil && len(files) != 1 {
		err = errors.New("fusermount3 sent no descriptor")
	}
	if err != nil {
		return nil, err
	}
	return files[0], nil
}
