package tenants

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

// distrib is a PostgreSQL installation: the directory that has bin/postgres.
type distrib struct{ dir string }

func (d distrib) bin(name string) string { return filepath.Join(d.dir, "bin", name) }

// check makes sure that the installation is there and of the right major version.
func (d distrib) check(ctx context.Context) error {
	if d.dir == "" {
		return fmt.Errorf("no PostgreSQL installation is set: name one with --pg-distrib DIR (the directory that has bin/postgres)")
	}
	if _, err := os.Stat(d.bin("postgres")); err != nil {
		return fmt.Errorf("pg-distrib %s: no bin/postgres there", d.dir)
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
		return fmt.Errorf("pg-distrib %s: is PostgreSQL %s, zenith needs %s", d.dir, fields[2], supportedMajor)
	}
	return nil
}

// CheckDistrib makes sure that dir is a PostgreSQL installation that zenith can use.
func CheckDistrib(ctx context.Context, dir string) error { return distrib{dir}.check(ctx) }

// FindDistrib gives the directory of an installed PostgreSQL 15: where Debian puts it,
// or the one whose postgres is on the path; "" if there is none.
func FindDistrib() string {
	for _, dir := range []string{"/usr/lib/postgresql/" + supportedMajor, "/usr/pgsql-" + supportedMajor} {
		if _, err := os.Stat(distrib{dir}.bin("postgres")); err == nil {
			return dir
		}
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return filepath.Dir(filepath.Dir(path))
}

// initdb makes a fresh cluster in dir, which the account owns: superuser postgres,
// trust on loopback and unix sockets, data checksums unless switched off.
func (d distrib) initdb(ctx context.Context, as account, dir string, checksums bool) error {
	args := []string{"-D", dir, "-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale", "C.UTF-8"}
	if checksums {
		args = append(args, "--data-checksums")
	}
	cmd := exec.CommandContext(ctx, d.bin("initdb"), args...)
	as.run(cmd)
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLine(out))
	}
	return nil
}

// lastLine gives the last line that says something, for one-line errors.
func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
