package privileged

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// connectionsDir is where the kernel has its control files of FUSE connections, if that is mounted.
const connectionsDir = "/sys/fs/fuse/connections"

// Abort implements Helper.
func (p *InProcess) Abort(id MountID) error {
	m, err := p.find(id)
	if err != nil {
		return err
	}
	return abortConnection(m.info.connection())
}

// abortConnection ends a file system: everything on it fails with ENOTCONN from now on.
func abortConnection(number string) (err error) {
	if number == "" {
		return errors.New("its connection is not known")
	}
	dir := connectionsDir
	if _, missing := os.Stat(filepath.Join(dir, number)); errors.Is(missing, fs.ErrNotExist) {
		var umount func() error
		if dir, umount, err = mountConnections(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, umount()) }()
	}
	f, err := os.OpenFile(filepath.Join(dir, number, "abort"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("1")
	return errors.Join(err, f.Close())
}

// mountConnections mounts the control files on a directory of its own.
func mountConnections() (dir string, umount func() error, err error) {
	if dir, err = os.MkdirTemp("", "zenith-connections"); err != nil {
		return "", nil, err
	}
	if err := unix.Mount("fusectl", dir, "fusectl", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return "", nil, errors.Join(fmt.Errorf("mount the kernel's list of FUSE connections: %w", err), os.Remove(dir))
	}
	return dir, func() error { return errors.Join(unix.Unmount(dir, 0), os.Remove(dir)) }, nil
}
