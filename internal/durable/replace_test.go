package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// names lists a directory.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func put(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s has %q, %v, want %q", path, got, err, want)
	}
}

func TestReplaceModeAndOwner(t *testing.T) {
	dir := t.TempDir()
	defer syscall.Umask(syscall.Umask(0o077))
	fresh, old := filepath.Join(dir, "fresh"), filepath.Join(dir, "old")
	put(t, old, "old", 0o640)
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 12, 34
		if err := os.Chown(old, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{fresh, old} {
		if err := WriteFile(path, []byte("new"), 0o644); err != nil {
			t.Fatal(err)
		}
		wantContent(t, path, "new")
	}
	for _, tt := range []struct {
		path     string
		mode     fs.FileMode
		uid, gid int
	}{{fresh, 0o644, os.Getuid(), os.Getgid()}, {old, 0o640, uid, gid}} {
		info, err := os.Stat(tt.path)
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		if info.Mode() != tt.mode || int(st.Uid) != tt.uid || int(st.Gid) != tt.gid {
			t.Errorf("%s: mode %v of %d:%d, want %v of %d:%d", tt.path, info.Mode(), st.Uid, st.Gid, tt.mode, tt.uid, tt.gid)
		}
	}
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("the directory has %v", got)
	}
}

// TestReplaceOrder: the bytes are durable before the name, and the name before the return.
func TestReplaceOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	put(t, path, "old", 0o600)
	var calls []string
	s := system{
		sync: func(f *os.File) error {
			content, _ := os.ReadFile(path)
			calls = append(calls, fmt.Sprintf("sync %s while it is %s", filepath.Base(f.Name()), content))
			return f.Sync()
		},
		rename: func(from, to string) error {
			content, err := os.ReadFile(from)
			calls = append(calls, fmt.Sprintf("rename %s, %v", content, err))
			return os.Rename(from, to)
		},
	}
	if err := s.replace(path, 0o600, writes("new")); err != nil {
		t.Fatal(err)
	}
	want := []string{"sync file.zenith-new while it is old", "rename new, <nil>", "sync " + filepath.Base(filepath.Dir(path)) + " while it is new"}
	if !slices.Equal(calls, want) {
		t.Errorf("got %q, want %q", calls, want)
	}
}

func writes(content string) func(*os.File) error {
	return func(f *os.File) error {
		_, err := f.WriteString(content)
		return err
	}
}

// fullDisk makes a directory on a file system of 64 KiB.
func fullDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestErrorKeepsOldContent: whatever Replace fails at, the old content is there, and no other file.
func TestErrorKeepsOldContent(t *testing.T) {
	errProvoked := errors.New("provoked")
	failing := func(call int) system { // of sync, and 0 for rename
		s, n := linux, 0
		s.sync = func(f *os.File) error {
			if n++; n == call {
				return errProvoked
			}
			return f.Sync()
		}
		if call == 0 {
			s.rename = func(string, string) error { return errProvoked }
		}
		return s
	}
	big := func(f *os.File) error {
		_, err := f.Write(bytes.Repeat([]byte("x"), 1<<20))
		return err
	}
	for _, tt := range []struct {
		name string
		dir  func(*testing.T) string
		s    system
		fill func(*os.File) error
		want error
	}{
		{"fill", (*testing.T).TempDir, linux, func(f *os.File) error { return errors.Join(writes("ne")(f), errProvoked) }, errProvoked},
		{"full disk", fullDisk, linux, big, syscall.ENOSPC},
		{"permissions", (*testing.T).TempDir, linux, (*os.File).Close, os.ErrClosed},
		{"sync", (*testing.T).TempDir, failing(1), writes("new"), errProvoked},
		{"rename", (*testing.T).TempDir, failing(0), writes("new"), errProvoked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.dir(t)
			path := filepath.Join(dir, "file")
			put(t, path, "old", 0o600)
			err := tt.s.replace(path, 0o600, tt.fill)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			wantContent(t, path, "old")
			if got := names(t, dir); len(got) != 1 {
				t.Errorf("the directory has %v", got)
			}
			if err := WriteFile(path, []byte("new"), 0o600); err != nil {
				t.Error(err)
			}
			wantContent(t, path, "new")
		})
	}
	t.Run("sync of the directory", func(t *testing.T) { // the exception
		path := filepath.Join(t.TempDir(), "file")
		put(t, path, "old", 0o600)
		if err := failing(2).replace(path, 0o600, writes("new")); !errors.Is(err, errProvoked) {
			t.Errorf("got %v", err)
		}
		wantContent(t, path, "new")
	})
	t.Run("no directory", func(t *testing.T) {
		if err := WriteFile(filepath.Join(t.TempDir(), "none", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
	for name, inTheWay := range map[string]func(path string) error{
		"a directory in the way": func(path string) error { return os.Mkdir(path, 0o700) },
		"a fifo in the way":      func(path string) error { return unix.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			if err := inTheWay(path); err != nil {
				t.Fatal(err)
			}
			if err := WriteFile(path, nil, 0o600); !errors.Is(err, fs.ErrExist) {
				t.Errorf("got %v", err)
			}
			if got := names(t, dir); len(got) != 1 {
				t.Errorf("the directory has %v", got)
			}
		})
	}
}

// TestLeftover: what a killed process left is removed, and nothing that it may point to changes.
func TestLeftover(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	put(t, outside, "kept", 0o600)
	for name, leave := range map[string]func(path string) error{
		"file": func(path string) error {
			return os.WriteFile(path, []byte("half of it, and longer than the new"), 0o400)
		},
		"symbolic link": func(path string) error { return os.Symlink(outside, path) },
		"dangling link": func(path string) error { return os.Symlink(path+".none", path) },
		"hard link":     func(path string) error { return os.Link(outside, path) },
		"fifo":          func(path string) error { return unix.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			put(t, path, "old", 0o600)
			if err := leave(path + leftover); err != nil {
				t.Fatal(err)
			}
			if got := slices.DeleteFunc(names(t, dir), Leftover); !slices.Equal(got, []string{"file"}) {
				t.Errorf("without leftovers, the directory has %v", got)
			}
			wantContent(t, path, "old")
			if err := WriteFile(path, []byte("new"), 0o600); err != nil {
				t.Fatal(err)
			}
			wantContent(t, path, "new")
			wantContent(t, outside, "kept")
			if got := names(t, dir); len(got) != 1 {
				t.Errorf("the directory has %v", got)
			}
		})
	}
}

// TestReplaceSideBySide: many replace the same file at once. All succeed, and a reader never
// sees anything but one of the contents.
func TestReplaceSideBySide(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	const writers, rounds = 8, 20
	whole := func(content []byte) bool {
		return len(content) == 3000 && bytes.Count(content, content[:1]) == len(content)
	}
	put(t, path, strings.Repeat("-", 3000), 0o600)
	var all sync.WaitGroup
	for n := range writers {
		all.Go(func() {
			content := bytes.Repeat([]byte{byte('a' + n)}, 1000)
			for range rounds {
				err := Replace(path, 0o600, func(f *os.File) error {
					for range 3 {
						if _, err := f.Write(content); err != nil {
							return err
						}
					}
					return nil
				})
				if got, rerr := os.ReadFile(path); err != nil || rerr != nil || !whole(got) {
					t.Errorf("%v; read %d bytes, %v", err, len(got), rerr)
					return
				}
			}
		})
	}
	all.Wait()
	if got := names(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("the directory has %v", got)
	}
}

func TestSymbolicLinkIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path, target := filepath.Join(dir, "file"), filepath.Join(dir, "target")
	put(t, target, "kept", 0o444)
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantContent(t, target, "kept")
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"long", "new"} {
		if err := Create(path, 0o600, writes(content)); err != nil {
			t.Fatal(err)
		}
		wantContent(t, path, content)
	}
	if err := Create(path, 0o600, func(f *os.File) error { return errors.Join(writes("ne")(f), fs.ErrInvalid) }); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("the directory has %v", got)
	}
}

func TestMoveAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for n := 1; n <= 3; n++ {
		put(t, path, fmt.Sprint(n), 0o600)
		aside, err := MoveAside(path)
		if err != nil || aside != fmt.Sprintf("%s.damaged-%d", path, n) {
			t.Errorf("got %s, %v", aside, err)
		}
	}
	for n := 1; n <= 3; n++ {
		wantContent(t, fmt.Sprintf("%s.damaged-%d", path, n), fmt.Sprint(n))
	}
	if got := names(t, dir); len(got) != 3 {
		t.Errorf("the directory has %v", got)
	}
	if _, err := MoveAside(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestRename(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a"), filepath.Join(dir, "sub", "b")
	if err := os.Mkdir(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, from, "new", 0o600)
	put(t, to, "old", 0o600)
	if err := Rename(from, to); err != nil {
		t.Fatal(err)
	}
	wantContent(t, to, "new")
	if err := Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
