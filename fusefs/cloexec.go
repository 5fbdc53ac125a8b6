package fusefs

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// withoutForks runs fn, during which this process starts no other: no child inherits a descriptor that fn
// opens and closes again. go-fuse opens a file of each new mount, without the flag that closes it on exec
// (pollHack); a postgres of another branch that inherited it kept the mount busy for as long as it ran.
func withoutForks(fn func() error) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return fn()
}

// withoutHeirs runs mount, which opens /dev/fuse and forks nothing, so that no child of this
// process inherits the descriptor: go-fuse's direct mount leaves it open on exec. If a postgres
// inherited it, the kernel would take the mount for served after this process was killed, and
// everyone who touches the mount would wait for ever.
func withoutHeirs(mount func() error) error {
	syscall.ForkLock.RLock() // no fork between open and the flag
	defer syscall.ForkLock.RUnlock()
	if err := mount(); err != nil {
		return err
	}
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return err
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != "/dev/fuse" {
			continue // a descriptor of another file, or one that is closed by now
		}
		fd, err := strconv.Atoi(filepath.Base(link))
		if err != nil {
			return err
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return fmt.Errorf("close /dev/fuse on exec: %w", err)
		}
	}
	return nil
}
