package privileged

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"zenith/internal/dirfd"
)

// InProcess is the Helper that does everything in this process, with what the process may do: all of it where it is
// root's. An ordinary user mounts by fusermount3, and binds nothing. The zero value works.
type InProcess struct {
	rules *Rules // nil: of a process that does all of it itself

	mu     sync.Mutex
	mounts map[MountID]*mount
}

// mount is a mount that an InProcess has made.
type mount struct {
	id   MountID
	at   *place
	info mountInfo

	mu       sync.Mutex // held while something is bound or unmounted
	bound    MountID    // 0: nothing is
	boundAt  string     // name in the mount's root
	boundDir *dirfd.Dir // what is shown there; nil: nothing
}

func (p *InProcess) enter(m *mount) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mounts == nil {
		p.mounts = map[MountID]*mount{}
	}
	p.mounts[m.id] = m
}

// find finds a mount. fs.ErrNotExist: this InProcess has not made it, or it is gone.
func (p *InProcess) find(id MountID) (*mount, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.mounts[id]
	if m == nil {
		return nil, fmt.Errorf("mount %d: %w", id, fs.ErrNotExist)
	}
	return m, nil
}

// Release implements Helper.
func (p *InProcess) Release(id MountID) {
	p.mu.Lock()
	m := p.mounts[id]
	delete(p.mounts, id)
	p.mu.Unlock()
	if m == nil {
		return
	}
	m.at.close() // a descriptor on which nothing was ever written
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.boundDir != nil {
		m.boundDir.Close() // likewise
	}
}

// Root implements Helper.
func (p *InProcess) Root() bool { return os.Geteuid() == 0 }

// Rmdir implements Helper.
func (p *InProcess) Rmdir(dir string, uid, gid int) error {
	if err := p.rules.mayRmdir(dir, uid, gid); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocks it: the thread, which has another user's rights, ends here
		err := errors.Join(unix.Setfsgid(gid), unix.Setfsuid(uid))
		if err == nil {
			err = unix.Rmdir(dir)
		}
		done <- err
	}()
	return <-done
}

// Own implements Helper.
func (p *InProcess) Own(top, rel string, o Ownership) (err error) {
	dir, err := p.rules.openDir(top)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	f, err := dir.OpenAny(rel)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() && !fi.IsDir() {
		err = &fs.PathError{Op: "own", Path: f.Name(), Err: dirfd.ErrNotRegular}
	}
	if err == nil {
		err = p.rules.mayOwn(fi, o)
	}
	if err != nil {
		return err
	}
	// The mode comes first: a server may open its file at any moment, and must never find one that has another owner
	// and does not let its group in yet. And it comes again, since a change of the owner clears the setgid bit.
	return errors.Join(f.Chmod(o.Mode), f.Chown(o.UID, o.GID), f.Chmod(o.Mode))
}

// Unmount implements Helper.
func (p *InProcess) Unmount(id MountID, lazy bool) error {
	m, err := p.find(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if lazy || m.bound == 0 {
		err = m.at.unmount(m.id, lazy)
	} else {
		err = m.unmountBound()
	}
	return err
}

// unmountBound takes the mount away, and before it what is bound into it. Both are unmounted, or neither.
func (m *mount) unmountBound() error {
	// Users are looked for before anything is unmounted: a server whose pg_wal disappeared for a
	// moment would fail.
	if by := holders(m.at.dir); by != "" {
		return fmt.Errorf("unmount %s: %w%s", m.at.dir, ErrBusy, by)
	}
	inside, err := openPlace(filepath.Join(m.at.dir, m.boundAt))
	if err != nil {
		return err
	}
	bound := inside.unmount(m.bound, false)
	err = inside.close() // it keeps the mount busy
	if errors.Is(bound, ErrBusy) {
		return bound
	}
	if err == nil {
		err = m.at.unmount(m.id, false)
	}
	if err == nil || bound != nil {
		return err // an error in bound means that somebody else had unmounted it
	}
	again, bindErr := m.bind(m.boundDir, m.boundAt)
	if bindErr == nil {
		m.bound = again
	}
	return errors.Join(err, bindErr)
}

// Bind implements Helper.
func (p *InProcess) Bind(id MountID, dir, at string) error {
	m, err := p.find(id)
	if err != nil {
		return err
	}
	if err := p.rules.mayBind(at); err != nil {
		return err
	}
	shown, err := p.rules.openDir(dir)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	bound, err := m.bind(shown, at)
	if err != nil || m.bound != 0 {
		return errors.Join(err, shown.Close())
	}
	m.bound, m.boundAt, m.boundDir = bound, at, shown
	return nil
}
