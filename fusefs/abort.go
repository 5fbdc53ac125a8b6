package fusefs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A file system lives until it is unmounted in every mount namespace. One that was made while the mount was
// there, by a container or a sandbox, has a mount of its own, which nobody here can unmount. What ends the
// file system nevertheless is to abort its connection.
const (
	// endPatience is how long the kernel may take to end a file system that is unmounted here.
	endPatience = 2 * time.Second
	// abortPatience is how long requests that are being answered may take to end after that.
	abortPatience = 10 * time.Second
)

// connectionsDir is where the kernel has its control files of FUSE connections, if that is mounted.
const connectionsDir = "/sys/fs/fuse/connections"

// connectionOf gives the number of the connection that serves the mount at dir: the minor number of its device.
func connectionOf(dir string) (string, error) {
	mounts, err := mountsAt(dir)
	if err != nil {
		return "", err
	}
	if len(mounts) == 0 {
		return "", fmt.Errorf("mount %s: %w", dir, fs.ErrNotExist)
	}
	_, minor, _ := strings.Cut(mounts[len(mounts)-1].dev, ":")
	return minor, nil
}

// waitEnd waits until everything is put away after the file system was unmounted here, and ends it if
// another mount namespace still holds it.
func (m *Mount) waitEnd() error {
	select {
	case <-m.done:
		return m.err
	case <-time.After(endPatience):
	}
	m.log.Warn("a mount is held by another mount namespace, of a container perhaps: it ends there too", "dir", m.dir)
	if err := abortConnection(m.connection); err != nil {
		return fmt.Errorf("unmount %s: another mount namespace holds it: %w", m.dir, err)
	}
	return m.waitAborted()
}

// End takes the mount away though processes use it, and waits until all that belongs to it is released.
// Reads and writes of files that are still open fail from then on.
func (m *Mount) End() error {
	if err := m.UnmountLazy(); err != nil {
		return err
	}
	select {
	case <-m.done:
		return m.err
	case <-time.After(busyPatience):
	}
	if err := abortConnection(m.connection); err != nil {
		return fmt.Errorf("end the mount %s: %w", m.dir, err)
	}
	return m.waitAborted()
}

// waitAborted waits until an aborted mount is put away.
func (m *Mount) waitAborted() error {
	select {
	case <-m.done:
		return m.err
	case <-time.After(abortPatience):
		return fmt.Errorf("unmount %s: requests on it are still being answered after %v: %w", m.dir, abortPatience, ErrBusy)
	}
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
