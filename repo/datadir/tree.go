package datadir

import (
	"context"
	"fmt"
	"io"
	"io/fs"
)

// skeleton are the directories that are always there: initdb's.
var skeleton = []string{
	"base", "global", "pg_commit_ts", "pg_dynshmem",
	"pg_logical", "pg_logical/mappings", "pg_logical/snapshots",
	"pg_multixact", "pg_multixact/members", "pg_multixact/offsets",
	"pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat", "pg_stat_tmp",
	"pg_subtrans", "pg_tblspc", "pg_twophase", "pg_wal", "pg_wal/archive_status", "pg_xact",
}

// isSkeleton is skeleton as a set, with the data directory itself.
var isSkeleton = func() map[string]bool {
	m := map[string]bool{"": true}
	for _, dir := range skeleton {
		m[dir] = true
	}
	return m
}()

// notExist is the error for a path that is not there.
func notExist(p string) error { return fmt.Errorf("%s: %w", p, fs.ErrNotExist) }

// bytesFile is a file whose contents are in memory.
type bytesFile []byte

func (f bytesFile) Size() int64 { return int64(len(f)) }

func (f bytesFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	want, end := clip(p, off, f.Size())
	if len(want) == 0 {
		return 0, end
	}
	return copy(want, f[off:]), end
}

// clip gives the part of p that a file of size bytes fills when it is read from off on, and what
// io.ReaderAt says with that: io.EOF if it is less than p.
func clip(p []byte, off, size int64) ([]byte, error) {
	if off < 0 || off >= size {
		return nil, io.EOF
	}
	if int64(len(p)) > size-off {
		return p[:size-off], io.EOF
	}
	return p, nil
}
