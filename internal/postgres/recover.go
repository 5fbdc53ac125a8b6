package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"zenith/internal/pg"
	"zenith/internal/privileged"
)

// Recovery is a base backup whose WAL is to be replayed.
type Recovery struct {
	Dir       string             // gets the configuration and the log; the account enters it and cannot write it
	DataDir   string             // the base backup
	Settings  pg.ControlSettings // of the server that the backup is from: replay needs them at least as high
	Libraries string             // shared_preload_libraries: those whose resource managers the WAL has records of

	// Started is called with the process id of the server; nil: nobody is told.
	Started func(pid int) error
	// ReadPIDFile is as that of a Launch.
	ReadPIDFile func() ([]byte, error)
	// Helper starts the server; nil: this process does.
	Helper privileged.Helper
}

// Recover is Replay for a base backup on disk, of which it leaves nothing different but what replay
// has changed.
func Recover(ctx context.Context, d Distrib, as Account, r Recovery) error {
	const auto, aside = "postgresql.auto.conf", "auto.conf"
	if err := moveFile(r.DataDir, auto, r.Dir, aside); err != nil {
		return err
	}
	if err := Replay(ctx, d, as, r); err != nil {
		return err
	}
	if err := DirFiles(r.DataDir).remove("backup_label.old"); err != nil {
		return err
	}
	return moveFile(r.Dir, aside, r.DataDir, auto)
}

// Replay has the installation's postgres replay the backup's WAL, and stops it. Nothing of
// the backup's own configuration is used: it may name other files, archive, or load libraries;
// and nobody can connect, and no library gets a worker, so that no page changes but by replay. It takes
// as long as the WAL takes: only ctx bounds it.
func Replay(ctx context.Context, d Distrib, as Account, r Recovery) error {
	if r.ReadPIDFile == nil {
		r.ReadPIDFile = pidFileIn(r.DataDir)
	}
	if err := r.configure(d); err != nil {
		return err
	}
	return r.replay(ctx, d, as)
}

// file is the path of one of the recovery's own files.
func (r Recovery) file(name string) string { return filepath.Join(r.Dir, name) }

// configure writes the settings with which postgres recovers.
func (r Recovery) configure(d Distrib) error {
	quote := func(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }
	onOff := map[bool]string{true: "on", false: "off"}
	lines := []string{
		"hba_file=" + quote(r.file("hba.conf")),
		"ident_file=" + quote(r.file("ident.conf")),
		"listen_addresses=''", "unix_socket_directories='.'", "port=5432", // the socket's path is never too long
		"allow_in_place_tablespaces=on",                                            // so are those of a Replay
		"shared_preload_libraries=" + quote(r.Libraries), "max_worker_processes=0", // a library's workers are not started
		"hot_standby=off", "archive_mode=off", "autovacuum=off", "max_logical_replication_workers=0",
		"fsync=off", "full_page_writes=off", "shared_buffers=128MB", "huge_pages=off", "jit=off",
		"max_wal_size=1TB", "checkpoint_timeout=1d", "logging_collector=off", "restart_after_crash=off",
		"wal_keep_size=1TB", // no segment of the backup goes: the branch's receivers need all of them
		d.Version.OriginsSetting + "=1000",
		"track_commit_timestamp=" + onOff[r.Settings.TrackCommitTimestamp],
		"wal_log_hints=" + onOff[r.Settings.WALLogHints],
		"max_prepared_transactions=" + strconv.Itoa(int(r.Settings.MaxPreparedXacts)),
		"max_connections=" + strconv.Itoa(int(r.Settings.MaxConnections)),
		"max_locks_per_transaction=" + strconv.Itoa(int(r.Settings.MaxLocksPerXact)),
	}
	for _, f := range []struct{ name, content string }{
		{"postgresql.conf", strings.Join(lines, "\n") + "\n"},
		{"hba.conf", "local all all reject\n"},
		{"ident.conf", ""},
	} {
		if err := os.WriteFile(r.file(f.name), []byte(f.content), 0o644); err != nil { // the account reads it
			return err
		}
	}
	return nil
}

// replay runs postgres until it has recovered, and stops it.
func (r Recovery) replay(ctx context.Context, d Distrib, as Account) error {
	cmd := as.command(d.bin("postgres"), []string{"-D", r.DataDir, "-c", "config_file=" + r.file("postgresql.conf")})
	cmd.DieWithParent = true // its work is of no use to anybody else
	p := &Server{logPath: r.file("log"), timeouts: Timeouts{}.withDefaults(), readPIDFile: r.ReadPIDFile, done: make(chan struct{})}
	if err := p.start(orInProcess(r.Helper), cmd); err != nil {
		return err
	}
	var err error
	if r.Started != nil {
		err = r.Started(p.PID())
	}
	if err == nil {
		err = r.waitRecovered(ctx, p)
	}
	if err != nil {
		p.Kill()
		return err
	}
	if err := p.proc.Signal(syscall.SIGINT); err != nil {
		return err
	}
	<-p.done // the shutdown checkpoint writes what replay has changed, and takes as long as that
	if p.Crashed() {
		return fmt.Errorf("postgres did not stop well: %s", p.lastWords())
	}
	return nil
}

// waitRecovered waits until the postmaster says in its pid file that it is ready.
func (r Recovery) waitRecovered(ctx context.Context, p *Server) error {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return fmt.Errorf("postgres ended: %s", p.lastWords())
		case <-poll.C:
		}
		if text, err := p.readPIDFile(); err == nil && saysReady(text, p.PID()) {
			return nil
		}
	}
}
