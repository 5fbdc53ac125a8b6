package tenants

import (
	"zenith/fusefs"
	"zenith/internal/privileged"
	"zenith/internal/tree"
)

// mounter mounts trees on directories. fuse is the real one; unit tests have one that mounts
// nothing, since a process must never use its own mount.
type mounter interface {
	readOnly(dir string, t tree.Tree, o fusefs.Options) (mounted, error)
	scratch(dir string, t tree.Tree, w fusefs.WorkOptions, o fusefs.Options) (mounted, error)
	work(dir string, t tree.Tree, b fusefs.Branch, w fusefs.WorkOptions, o fusefs.Options) (mounted, error)
	all(dir string, s fusefs.Source, o fusefs.Options) (mounted, error)
	// cleanStale unmounts what a killed page server left mounted at dir, and reports whether
	// there was something.
	cleanStale(dir string) (bool, error)
	// isMounted reports whether something that a mounter mounted, dead or alive, is at dir.
	isMounted(dir string) (bool, error)
}

// mounted is a mounted file system: a *fusefs.Mount, whose documentation it follows.
type mounted interface {
	Wait() error
	Unmount() error
	UnmountLazy() error
	End() error
	SendWAL() error
	Written(name string) ([]byte, error)
	WALBound() bool
}

// fuse is package fusefs, whose mounts a Helper makes.
type fuse struct{ helper privileged.Helper }

// mountedOr is m, if it was mounted: a nil *fusefs.Mount would be a mounted that is not nil.
func mountedOr(m *fusefs.Mount, err error) (mounted, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (fuse) readOnly(dir string, t tree.Tree, o fusefs.Options) (mounted, error) {
	return mountedOr(fusefs.ReadOnly(dir, t, o))
}

func (fuse) scratch(dir string, t tree.Tree, w fusefs.WorkOptions, o fusefs.Options) (mounted, error) {
	return mountedOr(fusefs.Scratch(dir, t, w, o))
}

func (fuse) work(dir string, t tree.Tree, b fusefs.Branch, w fusefs.WorkOptions, o fusefs.Options) (mounted, error) {
	return mountedOr(fusefs.Work(dir, t, b, w, o))
}

func (fuse) all(dir string, s fusefs.Source, o fusefs.Options) (mounted, error) {
	return mountedOr(fusefs.All(dir, s, o))
}

func (f fuse) cleanStale(dir string) (bool, error) { return f.helper.CleanStale(dir) }
func (fuse) isMounted(dir string) (bool, error)    { return privileged.IsMounted(dir) }
