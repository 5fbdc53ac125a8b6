package privileged

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"zenith/internal/dirfd"
)

// Mount implements Helper.
func (p *InProcess) Mount(s MountSpec) (MountID, *os.File, error) {
	if err := p.rules.mayMount(s); err != nil {
		return 0, nil, err
	}
	at, err := p.rules.openPlace(s.Dir)
	if err != nil {
		return 0, nil, err
	}
	id, fuse, err := p.mountAt(at, s)
	if err != nil {
		err = errors.Join(err, at.close())
	}
	return id, fuse, err
}

func (p *InProcess) mountAt(at *place, s MountSpec) (id MountID, fuse *os.File, err error) {
	point, err := at.open()
	if err != nil {
		return 0, nil, err
	}
	defer point.Close()
	if err := checkMountPoint(point, s); err != nil {
		return 0, nil, fmt.Errorf("mount point %s: %w", s.Dir, err)
	}
	attach := s.attach
	if os.Geteuid() != 0 {
		attach = s.fusermount
	}
	if fuse, err = attach(point); err != nil {
		return 0, nil, fmt.Errorf("mount %s: %w", s.Dir, err)
	}
	m, err := describe(at)
	if err != nil {
		return 0, nil, errors.Join(fmt.Errorf("mount %s: %w", s.Dir, err), fuse.Close())
	}
	p.enter(m)
	return m.id, fuse, nil
}

// describe finds out which mount was just made at a place.
func describe(at *place) (*mount, error) {
	root, err := at.open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	id, err := mountOf(root)
	if err != nil {
		return nil, err
	}
	infos, err := listMounts(func(m mountInfo) bool { return m.id == id && m.ours() })
	if err == nil && len(infos) != 1 {
		err = errors.New("the mount is not listed")
	}
	if err != nil {
		return nil, err
	}
	return &mount{info: infos[0], id: id, at: at}, nil
}

// Tune implements Helper.
func (p *InProcess) Tune(id MountID) error {
	m, err := p.find(id)
	if err != nil || !p.Root() {
		return err
	}
	return setCacheLimits(m.info)
}

// checkMountPoint refuses an open directory that has a mount of zenith's, dead or alive, is another account's, or
// is not empty.
func checkMountPoint(point *os.File, s MountSpec) error {
	id, err := mountOf(point)
	if err != nil {
		return err
	}
	mounts, err := listMounts(func(m mountInfo) bool { return m.id == id && m.dir == s.Dir && m.ours() })
	if err != nil {
		return err
	}
	switch {
	case len(mounts) == 0:
	case mounts[0].dead():
		return ErrStale
	default:
		return fmt.Errorf("has a mount already: %w", ErrBusy)
	}
	fi, err := point.Stat()
	if err != nil {
		return err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); s.Owners != nil && (!ok || !slices.Contains(s.Owners, int(st.Uid))) {
		return ErrNotOwner
	}
	return checkEmpty(point)
}

// checkEmpty refuses an open directory in which something is.
func checkEmpty(point *os.File) error {
	fd, err := unix.Openat(int(point.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), point.Name())
	defer dir.Close()
	names, err := dir.Readdirnames(1)
	if len(names) > 0 {
		return ErrNotEmpty
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// attach mounts over an open directory, whatever its name is by now.
func (s MountSpec) attach(point *os.File) (*os.File, error) {
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	err = s.attachTo(point, fuse)
	if err != nil {
		return nil, errors.Join(err, fuse.Close())
	}
	return fuse, nil
}

func (s MountSpec) attachTo(point, fuse *os.File) error {
	fd, err := unix.Fsopen("fuse", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("fsopen: %w", err)
	}
	config := os.NewFile(uintptr(fd), "fuse")
	defer config.Close()
	for _, option := range [][2]string{
		{"source", FSName}, {"subtype", FSName}, {"fd", strconv.Itoa(int(fuse.Fd()))},
		{"rootmode", strconv.FormatUint(unix.S_IFDIR, 8)}, {"user_id", strconv.Itoa(s.UID)}, {"group_id", strconv.Itoa(s.GID)},
		{"max_read", strconv.Itoa(s.MaxRead)},
	} {
		if err := unix.FsconfigSetString(fd, option[0], option[1]); err != nil {
			return fmt.Errorf("set %s=%s: %w", option[0], option[1], err)
		}
	}
	flags := []string{"default_permissions"}
	if s.AllowOther {
		flags = append(flags, "allow_other")
	}
	for _, flag := range flags {
		if err := unix.FsconfigSetFlag(fd, flag); err != nil {
			return fmt.Errorf("set %s: %w", flag, err)
		}
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return fmt.Errorf("make the file system: %w", err)
	}
	attrs := harmless
	if s.ReadOnly {
		attrs |= unix.MOUNT_ATTR_RDONLY
	}
	made, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return fmt.Errorf("fsmount: %w", err)
	}
	defer unix.Close(made)
	return moveMount(made, int(point.Fd()))
}

// harmless are the attributes of all mounts: nothing on one gives anybody a right, or is run as a program.
const harmless = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC

// moveMount attaches a mount that is nowhere yet to an open directory.
func moveMount(mnt, point int) error {
	if err := unix.MoveMount(mnt, "", point, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	return nil
}

// bind shows a directory at another one, in the root of the mount, and gives the number of the mount that it makes.
func (m *mount) bind(dir *dirfd.Dir, name string) (MountID, error) {
	fail := func(err error) (MountID, error) { return 0, fmt.Errorf("bind to %s/%s: %w", m.at.dir, name, err) }
	root, err := m.at.open()
	if err != nil {
		return fail(err)
	}
	defer root.Close()
	if now, err := mountOf(root); err != nil || now != m.id {
		return fail(errors.Join(err, fs.ErrNotExist))
	}
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	point, err := unix.Openat2(int(root.Fd()), name, &how)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(point)
	made, err := unix.OpenTree(dir.Fd(), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return fail(err)
	}
	f := os.NewFile(uintptr(made), name)
	defer f.Close()
	if err := unix.MountSetattr(made, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: harmless}); err != nil {
		return fail(err)
	}
	if err := moveMount(made, point); err != nil {
		return fail(err)
	}
	bound, err := mountOf(f)
	if err != nil {
		return fail(err)
	}
	return bound, nil
}
