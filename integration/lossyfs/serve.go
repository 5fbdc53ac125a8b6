package lossyfs

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Serve serves an empty disk at dir and does what the lines of in say, each of which it answers with a line "ok", or
// the error, on out:
//
//	sync        makes all of it durable
//	cut         the power goes: from now on every use of the disk is an I/O error
//	back SEED   the disk is there again, with what the cut has left by that seed
//
// It must run in a process of its own, which does not use dir, and ends with in.
func Serve(dir string, in io.Reader, out io.Writer) error {
	s := &server{dir: dir, d: newDisk()}
	if err := s.mount(); err != nil {
		return err
	}
	fmt.Fprintln(out, "ok")
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := s.do(strings.Fields(lines.Text())); err != nil {
			fmt.Fprintln(out, strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		fmt.Fprintln(out, "ok")
	}
	return s.unmount()
}

type server struct {
	dir string
	d   *disk
}

func (s *server) mount() error {
	_, err := mount(s.d, s.dir) // it is served until nobody uses it any more
	return err
}

// unmount takes the mount away, with those that are on it, though somebody may hold a file of it open.
func (s *server) unmount() error {
	err := unix.Unmount(s.dir, unix.MNT_DETACH)
	if err != nil {
		return fmt.Errorf("unmount %s: %w", s.dir, err)
	}
	return nil
}

func (s *server) do(words []string) error {
	switch {
	case len(words) == 1 && words[0] == "sync":
		s.d.syncAll()
	case len(words) == 1 && words[0] == "cut":
		s.d.cutPower()
	case len(words) == 2 && words[0] == "back":
		seed, err := strconv.ParseUint(words[1], 10, 64)
		if err != nil {
			return err
		}
		if err := s.unmount(); err != nil {
			return err
		}
		s.d = s.d.after(seed)
		return s.mount()
	default:
		return fmt.Errorf("%q: want sync, cut or back SEED", words)
	}
	return nil
}
