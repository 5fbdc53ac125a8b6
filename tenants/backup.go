package tenants

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/ingest"
	"zenith/repo/receiver"
)

// backup is a base backup of a running server in a directory of ours, until it is imported.
type backup struct {
	m   *Manager
	dir string // for everything: the data directory, tablespaces, settings and log
}

func (b backup) data() string { return filepath.Join(b.dir, "data") }

// loadServer makes a tenant's main branch from a running server: a base backup, which is
// copied while the server writes, is recovered by stock postgres up to the backup's end and
// imported as of there. The receiver that follows the server starts with the page server.
func (m *Manager) loadServer(ctx context.Context, t *tenant, o InitOptions) (tl *repo.Timeline, err error) {
	server, err := parseServer(o.FromServer)
	if err != nil {
		return nil, err
	}
	b := backup{m: m, dir: filepath.Join(t.dir, "backup")}
	if err := os.Mkdir(b.dir, 0o700); err != nil {
		return nil, err
	}
	defer os.RemoveAll(b.dir)
	if err := m.as.own(b.dir); err != nil {
		return nil, err
	}
	got, err := receiver.BaseBackup(ctx, server, receiver.BackupOptions{
		Dir: b.data(), TblspcTo: filepath.Join(b.dir, "tablespaces"), Own: m.as.own, Progress: o.Progress,
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, got.Abandon(ctx))
		}
	}()
	recovered, err := ingest.PrepareBackup(b.data(), got.Start, got.Stop)
	if err != nil {
		return nil, err
	}
	if err := b.recover(ctx, recovered.Settings()); err != nil {
		return nil, fmt.Errorf("recover the base backup: %w", err)
	}
	tl, err = ingest.Import(ctx, t.repo, b.data(), ingest.ImportOptions{
		Name: MainBranch, Progress: o.Progress, Recovered: recovered, Locations: got.Tablespaces,
	})
	if err != nil {
		return nil, err
	}
	return tl, keepReceiver(t.dir, tl.ID(), o.FromServer)
}

// recover has postgres replay the backup's WAL, and stops it. Nothing of the server's own
// configuration is used: it may name other files, archive, or load libraries; and nobody
// connects, so that no page changes but by replay.
func (b backup) recover(ctx context.Context, s pg.ControlSettings) error {
	auto, aside := filepath.Join(b.data(), "postgresql.auto.conf"), filepath.Join(b.dir, "auto.conf")
	if err := os.Rename(auto, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := b.configure(s); err != nil {
		return err
	}
	if err := b.replay(ctx); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(b.data(), "backup_label.old")); err != nil {
		return err
	}
	if err := os.Rename(aside, auto); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// file is the path of one of the files for recovery.
func (b backup) file(name string) string { return filepath.Join(b.dir, name) }

// configure writes the settings with which postgres recovers.
func (b backup) configure(s pg.ControlSettings) error {
	quote := func(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }
	onOff := map[bool]string{true: "on", false: "off"}
	lines := []string{
		"hba_file=" + quote(b.file("hba.conf")),
		"ident_file=" + quote(b.file("ident.conf")),
		"listen_addresses=''", "unix_socket_directories='.'", "port=5432", // a path that is never too long
		"hot_standby=off", "archive_mode=off", "autovacuum=off", "max_logical_replication_workers=0",
		"fsync=off", "full_page_writes=off", "shared_buffers=128MB", "huge_pages=off", "jit=off",
		"max_wal_size=1TB", "checkpoint_timeout=1d", "logging_collector=off", "restart_after_crash=off",
		"wal_keep_size=1TB",          // all of the backup's, for who follows the branch
		"max_replication_slots=1000", // bounds the replication origins, too
		"track_commit_timestamp=" + onOff[s.TrackCommitTimestamp],
		"wal_log_hints=" + onOff[s.WALLogHints],
		"max_prepared_transactions=" + strconv.Itoa(int(s.MaxPreparedXacts)),
		"max_connections=" + strconv.Itoa(int(s.MaxConnections)),
		"max_locks_per_transaction=" + strconv.Itoa(int(s.MaxLocksPerXact)),
	}
	for _, f := range []struct{ name, content string }{
		{"postgresql.conf", strings.Join(lines, "\n") + "\n"},
		{"hba.conf", "local all all reject\n"},
		{"ident.conf", ""},
	} {
		if err := os.WriteFile(b.file(f.name), []byte(f.content), 0o600); err != nil {
			return err
		}
		if err := b.m.as.own(b.file(f.name)); err != nil {
			return err
		}
	}
	return nil
}

// replay runs postgres until it has recovered, and stops it. It takes as long as it takes.
func (b backup) replay(ctx context.Context) error {
	log, err := os.OpenFile(b.file("log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(b.m.pg.bin("postgres"), "-D", b.data(), "-c", "config_file="+b.file("postgresql.conf"))
	b.m.as.run(cmd)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "TZ=" + os.Getenv("TZ")}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	p := &postgres{cmd: cmd, logPath: b.file("log"), done: make(chan struct{})}
	go p.wait()
	if err := b.waitRecovered(ctx, p); err != nil {
		p.kill()
		return err
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	if p.err != nil {
		return fmt.Errorf("postgres did not stop well: %s", p.lastWords(0))
	}
	return nil
}

// waitRecovered waits until the postmaster says in its pid file that it is ready.
func (b backup) waitRecovered(ctx context.Context, p *postgres) error {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return fmt.Errorf("postgres ended: %s", p.lastWords(0))
		case <-poll.C:
		}
		pid, err := os.ReadFile(filepath.Join(b.data(), "postmaster.pid"))
		if lines := strings.Split(string(pid), "\n"); err == nil && len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready" {
			return nil
		}
	}
}
