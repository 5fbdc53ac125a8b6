package tenants

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"zenith/fusefs"
	"zenith/internal/pg"
	"zenith/internal/tree"
	"zenith/internal/xlog"
)

// fakeMounts is a mounter that mounts nothing: a mount's directory is the directory itself,
// which is empty when it is mounted and emptied when it is unmounted. What is shown there, the
// tests read from the tree.
type fakeMounts struct {
	mu    sync.Mutex
	at    map[string]*fakeMount
	stale map[string]bool // what a killed page server has left
	fail  error           // what the next mount fails with
}

func newFakeMounts() *fakeMounts {
	return &fakeMounts{at: map[string]*fakeMount{}, stale: map[string]bool{}}
}

// fakeMount is one that is there.
type fakeMount struct {
	all    *fakeMounts
	dir    string
	tree   tree.Tree
	branch fusefs.Branch // of a writable one
	source fusefs.Source // of one of the whole tree
	work   fusefs.WorkOptions
	opts   fusefs.Options

	busy bool  // a process uses it; guarded by all.mu
	lazy bool  // it was unmounted while busy; guarded by all.mu
	send error // what SendWAL gives; guarded by all.mu
	put  error // what Wait gives; guarded by all.mu
	done chan struct{}
}

// mount checks what fusefs checks of a directory, and enters a mount.
func (f *fakeMounts) mount(m *fakeMount, o fusefs.Options) (mounted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail; err != nil {
		f.fail = nil
		return nil, err
	}
	if f.at[m.dir] != nil {
		return nil, fmt.Errorf("mount point %s has a mount already: %w", m.dir, fusefs.ErrBusy)
	}
	names, err := os.ReadDir(m.dir)
	if err != nil {
		return nil, fmt.Errorf("mount point: %w", err)
	}
	if len(names) > 0 {
		return nil, fmt.Errorf("mount point %s: %w", m.dir, fusefs.ErrNotEmpty)
	}
	if err := os.Chown(m.dir, int(o.UID), int(o.GID)); err != nil {
		return nil, err
	}
	// As of a mount point, the directory cannot be removed while it is mounted.
	if err := os.WriteFile(filepath.Join(m.dir, "mounted"), nil, 0o644); err != nil {
		return nil, err
	}
	if m.branch != nil {
		m.branch.HoldWAL(func(string) bool { return false })
	}
	m.all, m.opts, m.done = f, o, make(chan struct{})
	f.at[m.dir] = m
	return m, nil
}

func (f *fakeMounts) readOnly(dir string, t tree.Tree, o fusefs.Options) (mounted, error) {
	return f.mount(&fakeMount{dir: dir, tree: t}, o)
}

func (f *fakeMounts) scratch(dir string, t tree.Tree, w fusefs.WorkOptions, o fusefs.Options) (mounted, error) {
	return f.mount(&fakeMount{dir: dir, tree: t, work: w}, o)
}

func (f *fakeMounts) work(dir string, t tree.Tree, b fusefs.Branch, w fusefs.WorkOptions, o fusefs.Options) (mounted, error) {
	return f.mount(&fakeMount{dir: dir, tree: t, branch: b, work: w}, o)
}

func (f *fakeMounts) all(dir string, s fusefs.Source, o fusefs.Options) (mounted, error) {
	return f.mount(&fakeMount{dir: dir, source: s}, o)
}

func (f *fakeMounts) cleanStale(dir string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.stale[dir]
	delete(f.stale, dir)
	return was, nil
}

func (f *fakeMounts) isMounted(dir string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stale[dir] || f.at[dir] != nil, nil
}

// find gives the mount at dir.
func (f *fakeMounts) find(t testing.TB, dir string) *fakeMount {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.at[dir]
	if m == nil {
		t.Fatalf("nothing is mounted at %s", dir)
	}
	return m
}

// count counts the mounts that are there.
func (f *fakeMounts) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.at)
}

// Wait implements mounted.
func (m *fakeMount) Wait() error {
	<-m.done
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	return m.put
}

// Unmount implements mounted.
func (m *fakeMount) Unmount() error {
	m.all.mu.Lock()
	if m.busy {
		m.all.mu.Unlock()
		return fmt.Errorf("unmount %s: %w: by a test", m.dir, fusefs.ErrBusy)
	}
	err := m.goneLocked()
	m.all.mu.Unlock()
	return errors.Join(err, m.Wait())
}

// End implements mounted: it takes the mount away from the processes that use it.
func (m *fakeMount) End() error {
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	return m.goneLocked()
}

// UnmountLazy implements mounted.
func (m *fakeMount) UnmountLazy() error {
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	if m.busy {
		m.lazy = true
		return nil
	}
	return m.goneLocked()
}

// goneLocked takes the mount away, and with it what is in its directory.
func (m *fakeMount) goneLocked() error {
	if m.all.at[m.dir] != m {
		return nil
	}
	delete(m.all.at, m.dir)
	close(m.done)
	names, err := os.ReadDir(m.dir)
	for _, n := range names {
		err = errors.Join(err, os.RemoveAll(filepath.Join(m.dir, n.Name())))
	}
	return err
}

// setBusy has a process use the mount, or use it no more.
func (m *fakeMount) setBusy(busy bool) error {
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	m.busy = busy
	if m.lazy && !busy {
		return m.goneLocked()
	}
	return nil
}

// SendWAL implements mounted.
func (m *fakeMount) SendWAL() error {
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	return m.send
}

// Written implements mounted.
func (m *fakeMount) Written(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(m.dir, name))
}

// WALBound implements mounted.
func (m *fakeMount) WALBound() bool { return m.work.BindWAL }

// synced tells the branch of a writable mount that WAL up to an LSN was synced on it.
func (m *fakeMount) synced(upTo pg.LSN, segSize int) {
	last := upTo - 1
	m.branch.SegmentSynced(xlog.SegmentName(1, last, segSize), int64(last%pg.LSN(segSize))+1)
}
