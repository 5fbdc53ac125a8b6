package fusefs

import (
	"fmt"
	"time"
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

// waitEnd waits until everything is put away after the file system was unmounted here, and ends it if
// another mount namespace still holds it.
func (m *Mount) waitEnd() error {
	select {
	case <-m.done:
		return m.err
	case <-time.After(endPatience):
	}
	m.log.Warn("a mount is held by another mount namespace, of a container perhaps: it ends there too", "dir", m.dir)
	if err := m.helper.Abort(m.id); err != nil {
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
	if err := m.helper.Abort(m.id); err != nil {
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
