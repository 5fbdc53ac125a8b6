package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// Distrib is a PostgreSQL installation.
type Distrib struct {
	Version *pg.Version // what it should be; Check compares it with the binary
	Dir     string      // has bin/postgres; "": none is set
}

// Distribs are the PostgreSQL installations that the settings name, by major version.
type Distribs map[int]Distrib

// NewDistribs gives the installations where dir is that of pg.Default, and there is no other.
func NewDistribs(dir string) Distribs {
	return Distribs{pg.Default.Major: {Version: pg.Default, Dir: dir}}
}

// For gives the installation that runs data directories of v. It is not checked.
// ErrNotFound: none is set.
func (ds Distribs) For(v *pg.Version) (Distrib, error) {
	d, ok := ds[v.Major]
	if !ok {
		return d, api.Errorf(api.ErrNotFound, "the data are %v's: no such installation is set", v)
	}
	return d, nil
}

// Checked is For, and Check.
func (ds Distribs) Checked(ctx context.Context, v *pg.Version) (Distrib, error) {
	d, err := ds.For(v)
	if err == nil {
		err = d.Check(ctx)
	}
	return d, err
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
	if major, _, _ := strings.Cut(fields[2], "."); major != strconv.Itoa(d.Version.Major) {
		return fmt.Errorf("pg-distrib %s: is PostgreSQL %s, zenith needs %d", d.Dir, fields[2], d.Version.Major)
	}
	return nil
}

// FindDistrib finds an installation of PostgreSQL v: where Debian and Red Hat put it, else the
// one whose postgres is on the path, of whatever version it is. Its Dir is "" if there is none.
func FindDistrib(v *pg.Version) Distrib {
	for _, dir := range []string{"/usr/lib/postgresql/", "/usr/pgsql-"} {
		d := Distrib{Version: v, Dir: dir + strconv.Itoa(v.Major)}
		if _, err := os.Stat(d.bin("postgres")); err == nil {
			return d
		}
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return Distrib{Version: v}
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return Distrib{Version: v, Dir: filepath.Dir(filepath.Dir(path))}
}

// Initdb makes a fresh cluster in dir, which must be empty and the account's: superuser
// postgres, trust on loopback and unix sockets, data checksums or not. Nothing is fsynced:
// the caller reads the directory and throws it away.
func (d Distrib) Initdb(ctx context.Context, as Account, dir string, checksums bool) error {
	cmd := exec.CommandContext(ctx, d.bin("initdb"), d.initdbArgs(dir, checksums)...)
	as.prepare(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLine(out))
	}
	return nil
}

func (d Distrib) initdbArgs(dir string, checksums bool) []string {
	args := []string{"-D", dir, "-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale", "C.UTF-8"}
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
