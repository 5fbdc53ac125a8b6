package tenants

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"zenith/fusefs"
	"zenith/internal/api"
	"zenith/internal/tree"
)

// readTree reads a file of a tree.
func readTree(t testing.TB, tr tree.Tree, path string) string {
	t.Helper()
	e, err := tr.Lookup(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, e.File.Size())
	if err := tree.ReadFull(t.Context(), e.File, b, 0); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestMountModes: a branch is mounted writable, a state read-only, either to be thrown away, and
// everything as a tree.
func TestMountModes(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{NoWriteback: true})
	main := f.branchOf(t, MainBranch)
	h := f.advance(t, main, 50)
	state := "main@" + h.ends[20].String()
	for name, o := range map[string]api.MountOptions{
		"a rw":      {Point: MainBranch},
		"b ro":      {Point: state},
		"c scratch": {Point: state, Scratch: true},
		"d scratch": {Point: MainBranch, Scratch: true},
		"e tree":    {},
	} {
		o.Dir = filepath.Join(f.room, name)
		if o.Point != "" {
			o.Tenant = tenantA
		}
		got, err := f.Mount(t.Context(), o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if mode := name[2:]; got.Mode != mode || got.Dir != o.Dir || (got.LSN == nil) != (mode == api.ModeTree) {
			t.Errorf("%s: got %+v", name, got)
		}
		if m := f.mounts.find(t, o.Dir); m.tree != nil && readTree(t, m.tree, "PG_VERSION") != "15\n" {
			t.Errorf("%s shows %q", name, readTree(t, m.tree, "PG_VERSION"))
		}
	}
	list, err := f.MountList(t.Context())
	if err != nil || len(list) != 5 {
		t.Fatalf("got %v, %v", list, err)
	}
	for i, mode := range []string{api.ModeWritable, api.ModeReadOnly, api.ModeScratch, api.ModeScratch, api.ModeTree} {
		if list[i].Mode != mode || (mode != api.ModeTree) != (list[i].Tenant == tenantA && list[i].Branch == MainBranch) {
			t.Errorf("mount %d is %+v, want %s", i, list[i], mode)
		}
	}
	scratch := f.mounts.find(t, filepath.Join(f.room, "c scratch"))
	if !scratch.work.NoWriteback || !exists(scratch.work.Dir) {
		t.Errorf("the scratch mount has %+v", scratch.work)
	}
	for _, m := range list {
		if err := f.Umount(t.Context(), m.Dir, false); err != nil {
			t.Error(err)
		}
		wantKind(t, "unmount "+m.Dir+" again", f.Umount(t.Context(), m.Dir, false), api.ErrNotFound, "no such mount")
	}
	if exists(scratch.work.Dir) {
		t.Error("the private files of a scratch mount are left")
	}
	if main.mounted() || main.acquire("a test") != nil {
		t.Error("the branch is still in use")
	}
}

// TestMountOwner: a mount point belongs to the account that asks, and a connection over the network has none.
func TestMountOwner(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	o := api.MountOptions{Tenant: tenantA, Point: MainBranch, Dir: filepath.Join(f.room, "m")}
	for _, c := range []api.Caller{{Owner: true, UID: api.NoUID, Address: "127.0.0.1:5"}, {UID: 7, User: "x", Address: "10.0.0.1:5"}} {
		_, err := f.Mount(api.WithCaller(t.Context(), c), o)
		wantKind(t, "mount over the network", err, api.ErrNotAllowed)
	}
	for uid, want := range map[int][]int{7: {7}, 0: {0, f.as.UID}, api.NoUID: {os.Geteuid(), f.as.UID}} {
		if _, err := f.Mount(api.WithCaller(t.Context(), api.Caller{UID: uid}), o); err != nil {
			t.Fatal(err)
		}
		if got := f.mounts.find(t, o.Dir).opts.Owners; !slices.Equal(got, want) {
			t.Errorf("account %d: the owner is to be one of %v, want %v", uid, got, want)
		}
		if err := f.Umount(t.Context(), o.Dir, false); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMountRefuses: the error says why, and a directory that was made for it is gone again.
func TestMountRefuses(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	full := filepath.Join(f.room, "full")
	if err := errors.Join(os.Mkdir(full, 0o755), os.WriteFile(filepath.Join(full, "x"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(f.room, "link")
	if err := os.Symlink(f.cfg.Dir, link); err != nil {
		t.Fatal(err)
	}
	taken := filepath.Join(f.room, "taken")
	if _, err := f.Mount(t.Context(), api.MountOptions{Tenant: tenantA, Point: MainBranch, Dir: taken}); err != nil {
		t.Fatal(err)
	}
	free := filepath.Join(f.room, "free")
	for _, c := range []struct {
		what, point, dir string
		fail             error
		kind             error
		says             string
	}{
		{"a relative path", MainBranch, "x", nil, api.ErrBadArgument, "absolute"},
		{"the work directory", MainBranch, f.cfg.Dir, nil, api.ErrNotAllowed, "inside the work directory"},
		{"a part of it", MainBranch, filepath.Join(f.cfg.Dir, "x"), nil, api.ErrNotAllowed, "inside the work directory"},
		{"a link to a part of it", MainBranch, filepath.Join(link, "x"), nil, api.ErrNotAllowed, "inside the work directory"},
		{"what it is in", MainBranch, filepath.Dir(f.cfg.Dir), nil, api.ErrNotAllowed, "would hide"},
		{"a full directory", MainBranch, full, nil, api.ErrBusy, ""}, // the branch is taken: that comes first
		{"a full directory", "main@" + f.branchOf(t, MainBranch).tl.LastLSN().String(), full, nil, api.ErrMountFailed, "not empty"},
		{"nowhere", "main@" + f.branchOf(t, MainBranch).tl.LastLSN().String(), filepath.Join(f.room, "a", "b"), nil, api.ErrMountFailed, "no such directory"},
		{"a directory with a mount", "", taken, nil, api.ErrBusy, "already has a mount (rw)"},
		{"a second writer", MainBranch, free, nil, api.ErrBusy, "already mounted for writing at " + taken},
		{"no branch", "none", free, nil, api.ErrNotFound, "none"},
		{"no point", "main@0/1", free, nil, api.ErrOutOfRange, ""},
		{"somebody else's mount", "", free, fusefs.ErrBusy, api.ErrBusy, "already has a mount"},
		{"no FUSE", "", free, errors.New("use /dev/fuse: none"), api.ErrMountFailed, "/dev/fuse"},
	} {
		f.mounts.mu.Lock()
		f.mounts.fail = c.fail
		f.mounts.mu.Unlock()
		_, err := f.Mount(t.Context(), api.MountOptions{Tenant: tenantA, Point: c.point, Dir: c.dir})
		wantKind(t, c.what, err, c.kind, c.says)
		if exists(free) {
			t.Errorf("%s: the mount point is left", c.what)
		}
	}
	if list, err := f.MountList(t.Context()); len(list) != 1 || err != nil {
		t.Errorf("got mounts %v, %v; want one", list, err)
	}
	wantKind(t, "unmount what is none", f.Umount(t.Context(), full, false), api.ErrNotFound)
}

// TestMountFailsLate: a mount that fails gives back what it has taken.
func TestMountFailsLate(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	state := "main@" + main.tl.LastLSN().String()
	for _, o := range []api.MountOptions{{Point: MainBranch}, {Point: state}, {Point: state, Scratch: true}} {
		o.Tenant, o.Dir = tenantA, filepath.Join(f.room, "m")
		f.mounts.fail = errors.New("cannot")
		_, err := f.Mount(t.Context(), o)
		wantKind(t, fmt.Sprint(o), err, api.ErrMountFailed, "cannot")
		if err := main.acquire("a test"); err != nil || main.mounted() {
			t.Errorf("%+v: the branch is in use: %v", o, err)
		}
		main.release()
	}
	if left, err := os.ReadDir(filepath.Join(f.cfg.Dir, "tenants", tenantA, "mounts")); len(left) > 0 {
		t.Errorf("private files %v are left, %v", left, err)
	}
}

// TestUmountBusy: a mount in use stays, unless it is unmounted lazily.
func TestUmountBusy(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	dir := filepath.Join(f.room, "m")
	if _, err := f.Mount(t.Context(), api.MountOptions{Tenant: tenantA, Point: MainBranch, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	m := f.mounts.find(t, dir)
	if err := m.setBusy(true); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "in use", f.Umount(t.Context(), dir, false), api.ErrBusy, dir, "by a test")
	wantKind(t, "lazily", f.Umount(t.Context(), dir, true), nil)
	main := f.branchOf(t, MainBranch)
	if !main.mounted() {
		t.Error("the branch is free while a process uses its mount")
	}
	if err := m.setBusy(false); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the branch is free", func() bool { return !main.mounted() })
	waitFor(t, "the mount leaves the list", func() bool { list, err := f.MountList(t.Context()); return err == nil && len(list) == 0 })
}

// TestMountGoesByItself: somebody else unmounts it, and putting it away fails: that is logged.
func TestMountGoesByItself(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	dir := filepath.Join(f.room, "m")
	if _, err := f.Mount(t.Context(), api.MountOptions{Tenant: tenantA, Point: MainBranch, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	m := f.mounts.find(t, dir)
	m.all.mu.Lock()
	m.put = errors.New("the disk is full")
	err := m.goneLocked()
	m.all.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	main := f.branchOf(t, MainBranch)
	waitFor(t, "the branch is free", func() bool { return main.acquire("a test") == nil })
	waitFor(t, "the error is logged", func() bool { return len(f.log.lines("put a mount away", "the disk is full", dir)) > 0 })
}

// TestStaleMount: what a killed page server left at a directory is cleared away, by mount and by umount.
func TestStaleMount(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	dir := filepath.Join(f.room, "m")
	f.mounts.stale[dir] = true
	wantKind(t, "unmount it", f.Umount(t.Context(), dir, false), nil)
	wantKind(t, "unmount it again", f.Umount(t.Context(), dir, false), api.ErrNotFound)
	f.mounts.stale[dir] = true
	if _, err := f.Mount(t.Context(), api.MountOptions{Dir: dir}); err != nil {
		t.Error(err)
	}
}

// TestWritableMountIsFollowed: WAL that a server syncs on a mount moves the branch's head, without
// anybody asking; and who asks has what the kernel still holds sent first.
func TestWritableMountIsFollowed(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	start := main.tl.LastLSN()
	h := recorded(t, start)
	dir := filepath.Join(f.room, "m")
	if _, err := f.Mount(t.Context(), api.MountOptions{Tenant: tenantA, Point: MainBranch, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	m := f.mounts.find(t, dir)
	if main.tl.LastLSN() != start {
		t.Fatalf("the head moved to %v: a mount wrote a checkpoint behind a shutdown checkpoint", main.tl.LastLSN())
	}
	h.write(t, main.tl, h.ends[30])
	m.synced(h.ends[30], main.tl.Info().SegSize)
	waitFor(t, "the head moves", func() bool { return main.tl.LastLSN() == h.ends[30] })

	h.write(t, main.tl, h.ends[40])
	if got, err := f.LSN(t.Context(), tenantA, MainBranch); err != nil || got != h.ends[40] {
		t.Errorf("the head is %v, %v; want %v", got, err, h.ends[40])
	}
	m.all.mu.Lock()
	m.send = errors.New("no answer from the kernel")
	m.all.mu.Unlock()
	if _, err := f.LSN(t.Context(), tenantA, MainBranch); err == nil {
		t.Error("a head was given that may lack acknowledged commits")
	}
	if got, err := f.LSN(t.Context(), tenantA, "main@"+h.ends[10].String()); err != nil || got != h.ends[10] {
		t.Errorf("an older state: %v, %v", got, err)
	}
	h.write(t, main.tl, h.end())
	wantKind(t, "unmount", f.Umount(t.Context(), dir, false), nil)
	if got := main.tl.LastLSN(); got != h.end() {
		t.Errorf("after the mount the head is %v, want %v", got, h.end())
	}
	// Now it ends without a shutdown checkpoint, and the next mount writes one.
	if _, err := f.Mount(t.Context(), api.MountOptions{Tenant: tenantA, Point: MainBranch, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if got := main.tl.LastLSN(); got <= h.end() {
		t.Errorf("the next mount begins at %v, which is no shutdown checkpoint", got)
	}
}

// TestHoldBack: a writer waits only where ingest is too far behind, and not for ever.
func TestHoldBack(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{MaxLag: 4096})
	main := f.branchOf(t, MainBranch)
	h := recorded(t, main.tl.LastLSN())
	ended, end := context.WithCancel(t.Context())
	end()
	main.walSynced(h.ends[0])
	main.holdBack(ended) // not behind: returns at once whatever the context
	h.write(t, main.tl, h.end())
	main.walSynced(h.end())
	if main.behind() <= 4096 {
		t.Fatalf("it is only %d bytes behind", main.behind())
	}
	var waiting sync.WaitGroup
	waited := make(chan struct{})
	waiting.Go(func() {
		main.holdBack(t.Context())
		close(waited)
	})
	waitFor(t, "the writer waits, or has waited as long as it has to", func() bool {
		select {
		case <-waited:
			return true
		default:
			return main.tl.Awaited()
		}
	})
	if _, err := main.catchup(t.Context()); err != nil {
		t.Fatal(err)
	}
	waiting.Wait()
	if main.behind() != 0 {
		t.Errorf("it is still %d bytes behind", main.behind())
	}
	waitFor(t, "a writer does not wait when ingest is not behind", func() bool {
		began := time.Now()
		main.holdBack(t.Context())
		return time.Since(began) < throttle // a busy machine may be as slow as that once, not always
	})
}

// TestMountsSideBySide: many who mount and unmount at the same directories get true answers, and
// in the end all is given back.
func TestMountsSideBySide(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for i := range 8 {
				dir := filepath.Join(f.room, fmt.Sprint((n+i)%3))
				o := api.MountOptions{Tenant: tenantA, Point: MainBranch, Dir: dir, Scratch: i%2 == 0}
				_, err := f.Mount(t.Context(), o)
				if _, lerr := f.MountList(t.Context()); lerr != nil {
					t.Error(lerr)
				}
				if err != nil {
					if !errors.Is(err, api.ErrBusy) && !errors.Is(err, api.ErrMountFailed) {
						t.Errorf("mount %+v: %v", o, err)
					}
					continue
				}
				if err := f.Umount(t.Context(), dir, false); err != nil && !errors.Is(err, api.ErrNotFound) {
					t.Errorf("unmount %s: %v", dir, err)
				}
			}
		})
	}
	all.Wait()
	if f.mounts.count() != 0 || main.mounted() || main.acquire("a test") != nil {
		t.Errorf("%d mounts are left, the branch is in use: %v", f.mounts.count(), main.mounted())
	}
}
