package postgres

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"zenith/internal/pg"
)

// Distrib is a PostgreSQL installation.
type Distrib struct {
	Version *pg.Version
	Dir     string // has bin/postgres
	Release string // "17.12"; "": it was not asked for
}

// bin is the path of one of the installation's programs.
func (d Distrib) bin(name string) string { return filepath.Join(d.Dir, "bin", name) }

// Initdb makes a fresh cluster in dir, which must be empty and the account's: superuser
// postgres with the password in a file that the account can read, peer on unix sockets, SCRAM on TCP,
// data checksums or not. Nothing is fsynced: the caller reads the directory and throws it away.
func (d Distrib) Initdb(ctx context.Context, as Account, dir, passwordFile string, checksums bool) error {
	cmd := exec.CommandContext(ctx, d.bin("initdb"), d.initdbArgs(dir, passwordFile, checksums)...)
	as.prepare(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLine(out))
	}
	return nil
}

func (d Distrib) initdbArgs(dir, passwordFile string, checksums bool) []string {
	args := []string{"-D", dir, "-U", "postgres", "--auth-local=peer", "--auth-host=scram-sha-256", "--pwfile=" + passwordFile, "--no-sync", "--no-instructions", "-E", "UTF8", "--locale", "C.UTF-8"}
	switch {
	case checksums:
		args = append(args, "--data-checksums")
	case d.Version.ChecksumsByDefault:
		args = append(args, "--no-data-checksums")
	}
	return args
}

// lastLine gives the last line of a program's output that is not empty: the one that
// says why it failed, for errors that have one line.
func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// release is what a postgres binary says of itself.
type release struct {
	name  string // "15.20", "19rc1"
	major string // "15"
}

// isFinal says whether the release is meant for use: no beta, no release candidate, no snapshot.
func (r release) isFinal() bool { return strings.Trim(r.name, "0123456789.") == "" }

// readRelease asks the postgres of an installation which release it is.
func readRelease(ctx context.Context, dir string) (release, error) {
	postgres := Distrib{Dir: dir}.bin("postgres")
	out, err := exec.CommandContext(ctx, postgres, "--version").Output()
	if err != nil {
		return release{}, fmt.Errorf("%s --version: %w", postgres, err)
	}
	fields := strings.Fields(string(out)) // postgres (PostgreSQL) 15.20 (Debian ...)
	if len(fields) < 3 {
		return release{}, fmt.Errorf("%s --version says %q", postgres, strings.TrimSpace(string(out)))
	}
	r := release{name: fields[2], major: fields[2]}
	if i := strings.IndexFunc(r.name, func(c rune) bool { return c < '0' || c > '9' }); i >= 0 {
		r.major = r.name[:i]
	}
	return r, nil
}
