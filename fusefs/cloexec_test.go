package fusefs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNoHeirs: a child does not get the descriptor that a mount opened.
func TestNoHeirs(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip(err)
	}
	fd := -1
	open := func() (err error) {
		fd, err = unix.Open("/dev/fuse", unix.O_RDWR, 0)
		return err
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if !childHas(t, "/dev/fuse") {
		t.Fatal("the test cannot see what a child inherits")
	}
	if err := withoutHeirs(open); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if childHas(t, "/dev/fuse") {
		t.Error("a child inherits /dev/fuse")
	}
}

// TestWithoutForks: a child that is started meanwhile does not get a descriptor that is open for a moment.
func TestWithoutForks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "poll")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	var opener sync.WaitGroup
	opener.Go(func() {
		for ended.Err() == nil {
			err := withoutForks(func() error {
				fd, err := unix.Open(path, unix.O_RDONLY, 0)
				if err != nil {
					return err
				}
				time.Sleep(time.Millisecond) // so that a fork that does not wait is likely to come in between
				return unix.Close(fd)
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 20 {
		if childHas(t, path) {
			t.Error("a child inherits a descriptor that was open for a moment")
			break
		}
	}
	end()
	opener.Wait()
}

// childHas reports whether a child has a descriptor of that file.
func childHas(t *testing.T, path string) bool {
	t.Helper()
	out, err := exec.Command("ls", "-l", "/proc/self/fd").Output()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	return strings.Contains(string(out), path)
}
