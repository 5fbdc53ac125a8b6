package fusefs

import (
	"errors"
	"time"
)

// busyPatience is how long Unmount waits for the last process to close its files: the kernel
// closes those of a postgres that exits a little after its parent has learned of the exit.
const busyPatience = time.Second

// Unmount unmounts the file system and waits until everything is put away. If processes use
// it, it stays mounted, and the error, an ErrBusy, names them. Processes in another mount namespace
// that has the mount too do not keep it: it ends for them as well.
func (m *Mount) Unmount() error {
	deadline := time.Now().Add(busyPatience)
	for {
		select {
		case <-m.done:
			return m.err
		default:
		}
		err := m.helper.Unmount(m.id, false)
		if err == nil {
			return m.waitEnd()
		}
		if !errors.Is(err, ErrBusy) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(busyPatience / 20)
	}
}

// UnmountLazy removes the mount from its directory at once. Processes that have files open may
// go on using them; Done and Wait say when the last is closed.
func (m *Mount) UnmountLazy() error { return m.helper.Unmount(m.id, true) }
