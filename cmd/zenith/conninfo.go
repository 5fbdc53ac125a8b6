package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"zenith/internal/conninfo"
)

// passwordFileFlag makes the flag --password-file: a password does not belong on a command line, which every
// account of the machine can read.
func passwordFileFlag() cli.Flag {
	return &cli.StringFlag{Name: "password-file", Usage: "`FILE` whose first line is the password that goes into CONNINFO; - is stdin (else: PGPASSWORD, ~/.pgpass)"}
}

// fullConninfo completes a connection string that the page server will use with what libpq would take from
// this user's environment, service file and password file: the page server does not look there. files says
// that the page server has this machine's files.
func (e *environ) fullConninfo(text, passwordFile string, files bool) (string, error) {
	info, err := conninfo.Parse(text)
	if err != nil {
		return "", usagef("CONNINFO: %v", err)
	}
	if passwordFile != "" {
		password, err := e.readPassword(passwordFile)
		if err != nil {
			return "", err
		}
		info.Set("password", password)
	}
	if info, err = info.FillIn(ownEnvironment(files)); err != nil {
		return "", fmt.Errorf("CONNINFO: %w", err)
	}
	return info.String(), nil
}

// ownEnvironment is where libpq would find, in this process, what a connection string leaves out.
func ownEnvironment(files bool) conninfo.Environment {
	own := conninfo.Environment{Getenv: os.Getenv, Files: files}
	own.Home, _ = os.UserHomeDir() // without one there are no files in it
	if u, err := user.Current(); err == nil {
		own.User = u.Username
	}
	return own
}

// peerEnvironment is ownEnvironment for a page server: where that is, the settings say, and nothing else.
func peerEnvironment(files bool) conninfo.Environment {
	own := ownEnvironment(files)
	own.Getenv = func(name string) string {
		if slices.Contains(elsewhere, name) {
			return ""
		}
		return os.Getenv(name)
	}
	return own
}

// elsewhere are the environment variables by which libpq would connect to another server.
var elsewhere = []string{"PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGSERVICEFILE", "PGDATABASE"}

// readPassword gives the first line of a file, or of stdin for "-".
func (e *environ) readPassword(path string) (string, error) {
	f := e.in
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("password file: %w", err)
		}
		defer file.Close()
		f = file
	}
	line, err := firstLine(f)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if line == "" {
		return "", usagef("--password-file %s: its first line is empty", path)
	}
	return line, nil
}

// forgetLibpq removes from this process's environment what configures clients of PostgreSQL: the daemon may
// have been started with it, by a user or a script, and connects on behalf of others.
func forgetLibpq() error {
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); isLibpq(name) {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// withoutLibpq gives this process's environment without what configures clients of PostgreSQL, for the daemon:
// in /proc, the environment that a process was started with stays to be seen as long as it runs.
func withoutLibpq() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return isLibpq(name)
	})
}

func isLibpq(name string) bool { return strings.HasPrefix(name, "PG") }

// publicConninfo gives the address of a server as it is shown: without a password.
func publicConninfo(s string) string {
	if !strings.Contains(s, "=") && !strings.Contains(s, "://") { // HOST:PORT
		return s
	}
	info, err := conninfo.Parse(s)
	if err != nil {
		return "(cannot be read)" // a part of it may be a password
	}
	return info.Public()
}

// keepFromCores lets the kernel write no core file of this process, in which passwords would be. Root alone could
// read it, but it may go to a collector of crashes.
func keepFromCores() error {
	if os.Geteuid() != 0 {
		return nil // the files in /proc of an ordinary user's process would become root's
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// firstLine reads up to the end of the first line, which may be the end of what there is.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(r).ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return strings.TrimRight(line, "\r\n"), err
}
