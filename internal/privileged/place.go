package privileged

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// place is where something is mounted: a name in a directory, which is held open, so that nobody can put another
// one in its place. A mount point itself cannot be renamed or removed.
type place struct {
	dir    string // the real path of the mount point; for messages and for fusermount3
	parent *os.File

	mu     sync.Mutex // unmount and close: a mount may be taken away while the one who serves it lets go of it
	closed bool
}

// openPlace finds the place of a real path: a symbolic link anywhere in it is an error.
func openPlace(dir string) (*place, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, filepath.Dir(dir), &how)
	if err != nil {
		return nil, &fs.PathError{Op: "open mount point", Path: dir, Err: err}
	}
	return &place{dir: dir, parent: os.NewFile(uintptr(fd), dir)}, nil
}

func (p *place) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.parent.Close()
}

// open opens what is mounted at the place, or the directory there if nothing is. It asks nothing of the file
// system that is mounted.
func (p *place) open() (*os.File, error) {
	fd, err := unix.Openat(int(p.parent.Fd()), filepath.Base(p.dir), unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open mount point", Path: p.dir, Err: err}
	}
	return os.NewFile(uintptr(fd), p.dir), nil
}

// has reports whether the mount of that number is what the place shows.
func (p *place) has(id MountID) (bool, error) {
	f, err := p.open()
	if err != nil {
		return false, err
	}
	defer f.Close()
	now, err := mountOf(f)
	return now == id, err
}

// mountOf gives the number of the mount that an open file is on.
func mountOf(f *os.File) (MountID, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", f.Fd()))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if value, ok := strings.CutPrefix(string(line), "mnt_id:"); ok {
			id, err := strconv.Atoi(strings.TrimSpace(value))
			return MountID(id), err
		}
	}
	return 0, fmt.Errorf("the kernel does not say on which mount %s is", f.Name())
}

// unmount takes the mount of that number away, if it still is what the place shows. lazy does so even if it is in
// use, else that is an ErrBusy. It is no error if it is gone.
func (p *place) unmount(id MountID, lazy bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return checkGone(id, p.dir)
	}
	there, err := p.has(id)
	if err == nil && !there {
		err = checkGone(id, p.dir)
	}
	if err != nil || !there {
		return err
	}
	if os.Geteuid() == 0 {
		flags := unix.UMOUNT_NOFOLLOW
		if lazy {
			flags |= unix.MNT_DETACH
		}
		err = unix.Unmount(filepath.Join(fmt.Sprintf("/proc/self/fd/%d", p.parent.Fd()), filepath.Base(p.dir)), flags)
	} else {
		err = fusermountAway(p.dir, lazy)
	}
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("unmount %s: %w%s", p.dir, ErrBusy, holders(p.dir))
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", p.dir, err)
	}
	return nil
}

// checkGone refuses a mount that is still there, below another one.
func checkGone(id MountID, dir string) error {
	list, err := listMounts(func(m mountInfo) bool { return m.id == id && m.dir == dir && m.ours() })
	if err == nil && len(list) > 0 {
		err = fmt.Errorf("unmount %s: %w: another mount lies over it", dir, ErrBusy)
	}
	return err
}

// fusermountAway unmounts for an ordinary user, who may not call umount(2).
func fusermountAway(dir string, lazy bool) error {
	args := []string{"-u", dir}
	if lazy {
		args = []string{"-u", "-z", dir}
	}
	cmd := exec.Command("fusermount3", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	if err == nil {
		return nil
	}
	text := strings.TrimSpace(stderr.String())
	if strings.Contains(text, unix.EBUSY.Error()) || strings.Contains(text, "Device or resource busy") {
		return unix.EBUSY
	}
	return fmt.Errorf("fusermount3: %w: %s", err, text)
}
