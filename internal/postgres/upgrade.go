package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"zenith/internal/api"
)

// Upgrade is a run of stock pg_upgrade from a data directory that may be spoiled to one of a newer major version.
//
// Both servers of pg_upgrade listen on a unix socket only, in a directory that nobody but the account can enter; so
// they trust whoever connects. Nothing of the old server's configuration is used: it may name files of the original,
// archive, or load libraries that act on the world.
type Upgrade struct {
	Old, New Distrib
	// Dir is an empty directory of the account's. pg_upgrade runs there, and the new data directory is made there.
	Dir       string
	OldData   string // in a directory of the same file system: the new one has links to its files
	User      string // the bootstrap superuser of the old cluster
	SegSize   int    // of WAL, in bytes
	Checksums bool   // whether the old cluster has data checksums
	CheckOnly bool   // pg_upgrade only says whether it could
	Output    func(line string) error
}

// UpgradeConfig gives the files that take the place of the old data directory's configuration.
func UpgradeConfig() map[string][]byte {
	conf := "archive_mode=off\nautovacuum=off\nmax_logical_replication_workers=0\nlogging_collector=off\nmax_locks_per_transaction=256\nmax_prepared_transactions=1000\n" +
		"shared_buffers=128MB\nhuge_pages=off\njit=off\nallow_in_place_tablespaces=on\n"
	return map[string][]byte{
		"postgresql.conf": []byte(conf), "postgresql.auto.conf": {}, "pg_hba.conf": []byte("local all all trust\n"), "pg_ident.conf": {},
	}
}

// NewData is the new data directory.
func (u Upgrade) NewData() string { return filepath.Join(u.Dir, "new") }

// Run makes the new data directory: its server is stopped cleanly. With CheckOnly there is only an empty cluster.
func (u Upgrade) Run(ctx context.Context, as Account) (err error) {
	if err := u.initdb(ctx, as); err != nil {
		return err
	}
	sockets, err := os.MkdirTemp("", "zu") // the path of a socket may not be long
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.endServers(context.WithoutCancel(ctx), as), os.RemoveAll(sockets)) }()
	if err := as.Own(sockets); err != nil {
		return err
	}
	args := []string{"-b", filepath.Join(u.Old.Dir, "bin"), "-B", filepath.Join(u.New.Dir, "bin"), "-d", u.OldData, "-D", u.NewData(),
		"-U", u.User, "-s", sockets, "--link", "--no-sync"}
	if u.CheckOnly {
		args = append(args, "--check")
	}
	if err := u.run(ctx, as, "pg_upgrade", args...); err != nil {
		return errors.Join(err, u.tellReports())
	}
	return nil
}

// reportLines is how many lines of each file tellReports passes on at most.
const reportLines = 20

// initdb makes the empty cluster of the new version, as pg_upgrade wants it: with the old one's superuser, segments
// and checksums. Databases bring their locales with them.
func (u Upgrade) initdb(ctx context.Context, as Account) error {
	args := []string{"-D", u.NewData(), "-U", u.User, "-A", "trust", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale", "C.UTF-8",
		"--wal-segsize=" + strconv.Itoa(u.SegSize>>20)}
	switch {
	case u.Checksums:
		args = append(args, "--data-checksums")
	case u.New.Version.ChecksumsByDefault:
		args = append(args, "--no-data-checksums")
	}
	cmd := exec.CommandContext(ctx, u.New.bin("initdb"), args...)
	as.prepare(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLine(out))
	}
	return nil
}

// run runs a program of the new installation and passes on what it prints.
func (u Upgrade) run(ctx context.Context, as Account, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, u.New.bin(name), args...)
	as.prepare(cmd)
	cmd.Dir = u.Dir
	cmd.WaitDelay = 10 * time.Second // the servers that it has started hold its output
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	told := make(chan error, 1)
	go func() { told <- u.tell(r) }()
	err := cmd.Run()
	w.Close() //nolint:errcheck // never fails
	if terr := <-told; terr != nil {
		return terr
	}
	if err != nil {
		return api.Errorf(api.ErrNotAllowed, "%s: %v", name, err)
	}
	return nil
}

// tell passes on the lines of a program's output. When nobody wants them any more, it reads on, so that the program
// can end.
func (u Upgrade) tell(r io.Reader) (err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if line := strings.TrimRight(lines.Text(), " \r"); err == nil && line != "" {
			err = u.Output(line)
		}
	}
	return errors.Join(err, lines.Err())
}

// tellReports passes on parts of the files in which pg_upgrade says what it found, and what the programs said that
// it ran: its output names them, but they go with the directory.
func (u Upgrade) tellReports() error {
	root, err := os.OpenRoot(u.Dir) // the account may have put links there, which must lead nowhere else
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), "new/pg_upgrade_output.d", func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() || !tellsCause(d.Name()) {
			return err
		}
		text, err := root.ReadFile(path)
		if err != nil {
			return err
		}
		if lines := causeIn(d.Name(), string(text)); len(lines) > 0 {
			return u.tell(strings.NewReader(d.Name() + ":\n" + strings.Join(lines, "\n") + "\n"))
		}
		return nil
	})
}

// causeIn gives the lines of a file that may tell the cause of a failure: of a report the first ones, of a log those
// from its first error on.
func causeIn(name, text string) []string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if filepath.Ext(name) == ".log" {
		first := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "error:") })
		if first < 0 {
			return nil
		}
		lines = lines[first:]
	}
	return lines[:min(len(lines), reportLines)]
}

// tellsCause says whether a file of that name may have the cause of a failure: a report, or the log of the dump and
// restore of a database.
func tellsCause(name string) bool {
	return filepath.Ext(name) == ".txt" || strings.HasPrefix(name, "pg_upgrade_dump_") && filepath.Ext(name) == ".log"
}

// endServers ends the servers that a pg_upgrade which was killed has left running.
func (u Upgrade) endServers(ctx context.Context, as Account) (err error) {
	for dir, d := range map[string]Distrib{u.OldData: u.Old, u.NewData(): u.New} {
		if _, serr := os.Stat(filepath.Join(dir, PostmasterPID)); serr != nil {
			continue
		}
		cmd := exec.CommandContext(ctx, d.bin("pg_ctl"), "-D", dir, "-m", "immediate", "-w", "stop")
		as.prepare(cmd)
		if out, serr := cmd.CombinedOutput(); serr != nil {
			err = errors.Join(err, fmt.Errorf("end the server of pg_upgrade: %w: %s", serr, lastLine(out)))
		}
	}
	return err
}
