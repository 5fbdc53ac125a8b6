package fusefs

import (
	"os"
	"os/exec"
	"strings"
	"testing"

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

// childHas reports whether a child has a descriptor of that file.
func childHas(t *testing.T, path string) bool {
	t.Helper()
	out, err := exec.Command("ls", "-l", "/proc/self/fd").Output()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	return strings.Contains(string(out), path)
}
