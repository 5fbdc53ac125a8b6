package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// supportedMajor is the PostgreSQL whose files and WAL zenith reads.
const supportedMajor = "15"

// Distrib is a PostgreSQL installation.
type Distrib struct {
	Dir string // has bin/postgres; "": none is set
}

// bin is the path of one of the installation's programs.
func (d Distrib) bin(name string) string { return filepath.Join(d.Dir, "bin", name) }

// Check makes sure that the installation is there and of the right major version.
func (d Distrib) Check(ctx context.Context) error {
	if d.Dir == "" {
		return fmt.Errorf("no PostgreSQL installation is set: name one with --pg-distrib DIR (the directory that has bin/postgres)")
	}
	if _, err := os.Stat(d.bin("postgres")); err != nil {
		return fmt.Errorf("pg-distrib %s: no bin/postgres there", d.Dir)
	}
	out, err := exec.CommandContext(ctx, d.bin("postgres"), "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", d.bin("postgres"), err)
	}
	fields := strings.Fields(string(out)) // postgres (PostgreSQL) 15.20 (Debian ...)
	if len(fields) < 3 {
		return fmt.Errorf("%s --version says %q", d.bin("postgres"), bytes.TrimSpace(out))
	}
	if major, _, _ := strings.Cut(fields[2], "."); major != supportedMajor {
		return fmt.Errorf("pg-distrib %s: is PostgreSQL %s, zenith needs %s", d.Dir, fields[2], supportedMajor)
	}
	return nil
}

// FindDistrib finds an installed PostgreSQL 15: where Debian and Red Hat put it, else the
// one whose postgres is on the path. Its Dir is "" if there is none.
func FindDistrib() Distrib {
	for _, dir := range []string{"/usr/lib/postgresql/" + supportedMajor, "/usr/pgsql-" + supportedMajor} {
		d := Distrib{Dir: dir}
		if _, err := os.Stat(d.bin("postgres")); err == nil {
			return d
		}
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return Distrib{}
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return Distrib{Dir: filepath.Dir(filepath.Dir(path))}
}

// Initdb makes a fresh cluster in dir, which must be empty and the account's: superuser
// postgres, trust on loopback and unix sockets, data checksums or not. Nothing is fsynced:
// the caller reads the directory and throws it away.
func (d Distrib) Initdb(ctx context.Context, as Account, dir string, checksums bool) error {
	args := []string{"-D", dir, "-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale", "C.UTF-8"}
	if checksums {
		args = append(args, "--data-checksums")
	}
	cmd := exec.CommandContext(ctx, d.bin("initdb"), args...)
	as.prepare(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLine(out))
	}
	return nil
}

// lastLine gives the last line of a program's output that is not empty: the one that
// says why it failed, for errors that have one line.
func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
