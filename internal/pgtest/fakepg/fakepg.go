package fakepg

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// programs are what the test binary is under its other names.
var programs = map[string]func(args []string) error{
	"postgres": runPostgres,
	"initdb":   runInitdb,
	"pg_ctl":   runCtl,
}

// Main runs one of the programs, if the process was started as one, and does not return then.
func Main() {
	program, ok := programs[filepath.Base(os.Args[0])]
	if !ok {
		return
	}
	err := program(os.Args[1:])
	var status exitStatus
	if err != nil && !errors.As(err, &status) {
		os.Stderr.WriteString(filepath.Base(os.Args[0]) + ": error: " + err.Error() + "\n")
		status = 1
	}
	syscall.Exit(int(status)) // under the race detector, os.Exit takes a second
}

// exitStatus ends a program without a message.
type exitStatus int

func (exitStatus) Error() string { return "" }

// Installation makes an installation, in a directory that every user can read, and gives its
// path. It goes with the test.
func Installation(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "fakepg")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	if err := install(dir); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// install puts the test binary into dir/bin under its other names. It copies it once, since
// the directory that it is in may be closed to other users.
func install(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin := filepath.Join(dir, "bin")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(bin, 0o755)); err != nil {
		return err
	}
	first := filepath.Join(bin, "postgres")
	if os.Link(self, first) != nil { // another file system, or another user's file
		binary, err := os.ReadFile(self)
		if err != nil {
			return err
		}
		if err := os.WriteFile(first, binary, 0o755); err != nil {
			return err
		}
	}
	for name := range programs {
		if name == "postgres" {
			continue
		}
		if err := os.Link(first, filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	return nil
}

// file reads a file of the installation whose program runs: "" if it is not there.
func file(name string) string {
	content, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(os.Args[0])), name))
	if err != nil {
		return ""
	}
	return string(content)
}
