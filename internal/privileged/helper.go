package privileged

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Helper does what takes root. Its methods are safe for concurrent use.
type Helper interface {
	// Mount mounts a FUSE file system over an empty directory. Requests of the kernel come from the file, which
	// the caller closes; when it is closed everywhere, the mount is dead. ErrNotEmpty, ErrNotOwner, ErrBusy (it
	// has a mount of zenith's), ErrStale (a dead one).
	Mount(s MountSpec) (MountID, *os.File, error)
	// Tune sets how much of a mount of this Helper's the kernel reads ahead, and keeps before it is written. The
	// server has answered the kernel's first request by then, which sets the usual limits.
	Tune(id MountID) error
	// Bind shows the directory dir at the directory at, a single name, in the root of a mount of this Helper's. It
	// ends with the mount.
	Bind(id MountID, dir, at string) error
	// Unmount takes a mount of this Helper's away, with what is bound into it, or neither. lazy does so even if
	// it is in use; else that is an ErrBusy, which names the processes that use it. One that is gone already is
	// no error.
	Unmount(id MountID, lazy bool) error
	// Abort ends the file system of a mount of this Helper's, in all mount namespaces: everything on it fails
	// with ENOTCONN from now on.
	Abort(id MountID) error
	// Release forgets a mount of this Helper's, whether it is gone or not. Nothing more can be done to it.
	Release(id MountID)
	// CleanStale unmounts what a killed process left mounted at dir, and reports whether there was something. A
	// mount that is alive is left alone.
	CleanStale(dir string) (bool, error)
	// Own gives the regular file or the directory rel, below the directory top, an owner, a group and a mode. No
	// part of rel is followed if it is a symbolic link. Whoever can write top's parents is trusted.
	Own(top, rel string, o Ownership) error
	// Rmdir removes an empty directory with the rights of an account, wherever it is.
	Rmdir(dir string, uid, gid int) error
	// Start starts a program as an account.
	Start(c Command) (Process, error)
	// LivingIn gives the processes whose current directory is dir: all of a postgres's are in its data directory,
	// also the children of a postmaster that was killed.
	LivingIn(dir string) ([]int, error)
	// Signal sends a signal to the process of that number which began at start (StartOf). One that is gone is no
	// error.
	Signal(pid int, start string, sig syscall.Signal) error
	// Connect connects to the unix socket of a PostgreSQL server, in a directory that the page server may not be able to
	// enter, in the name of the page server's account. Nothing else than such a socket is connected to: fs.ErrNotExist.
	Connect(path string) (*os.File, error)
	// Root reports whether the Helper can do what takes root: bind, and give files away.
	Root() bool
}

// Ownership is whose a file is.
type Ownership struct {
	UID, GID int // -1: as it was
	Mode     fs.FileMode
}

// Errors of Helpers, to be found with errors.Is.
var (
	// ErrBusy is returned when processes use a mount, or when a mount point has one already.
	ErrBusy = errors.New("in use")
	// ErrNotEmpty is returned for a mount point in which something is.
	ErrNotEmpty = errors.New("directory is not empty")
	// ErrStale is returned for a mount point that has a mount whose server was killed.
	ErrStale = errors.New("stale mount of a daemon that is gone")
	// ErrNotOwner is returned for a mount point that belongs to another account than the one for which the mount is.
	ErrNotOwner = errors.New("belongs to another account")
)

// FSName is the name and, behind "fuse.", the type of the file systems: mounts are listed by mount -t fuse.zenith.
const FSName = "zenith"

// MountID is the kernel's number for a mount.
type MountID int

// MountSpec says what is to be mounted.
type MountSpec struct {
	Dir        string // the mount point: an empty directory, without symbolic links in its path
	Owners     []int  // the accounts of which one must own the mount point; nil: anybody may
	ReadOnly   bool
	AllowOther bool // other accounts than the server's may use it, as the modes of its files say
	UID, GID   int  // whom the kernel takes for the file system's server
	MaxRead    int  // bytes of a read
}
