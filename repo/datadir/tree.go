package datadir

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"zenith/internal/pg"
)

// skeleton are the directories that are always there: initdb's.
var skeleton = []string{
	"base", "global", "pg_commit_ts", "pg_dynshmem",
	"pg_logical", "pg_logical/mappings", "pg_logical/snapshots",
	"pg_multixact", "pg_multixact/members", "pg_multixact/offsets",
	"pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat", "pg_stat_tmp",
	"pg_subtrans", "pg_tblspc", "pg_twophase", "pg_wal", "pg_wal/archive_status", "pg_xact",
}

// isSkeleton has those of them that skeleton lists, and the top.
var isSkeleton = func() map[string]bool {
	m := map[string]bool{"": true}
	for _, dir := range skeleton {
		m[dir] = true
	}
	return m
}()

// notExist is the error for a path that is not there.
func notExist(p string) error { return fmt.Errorf("%s: %w", p, fs.ErrNotExist) }

// parent is the directory of a path, "" for the top.
func parent(p string) string {
	if dir := path.Dir(p); dir != "." {
		return dir
	}
	return ""
}

// child is the first name of p below dir, and whether more follows: p is in a directory
// of that name.
func child(dir, p string) (name string, deeper, ok bool) {
	if dir != "" {
		if p, ok = strings.CutPrefix(p, dir+"/"); !ok {
			return "", false, false
		}
	}
	name, _, deeper = strings.Cut(p, "/")
	return name, deeper, name != ""
}

// tablespaceOf tells the tablespace whose link p would be.
func tablespaceOf(p string) (pg.OID, bool) {
	q := pg.ParsePath(p + "/" + pg.TablespaceVersionDir + "/1")
	if q.Kind != pg.PathDatabase || parent(p) != "pg_tblspc" {
		return 0, false
	}
	return q.Fork.SpcOID, true
}

// bytesFile is a file whose contents are at hand.
type bytesFile []byte

func (f bytesFile) Size() int64 { return int64(len(f)) }

func (f bytesFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(f)) {
		return 0, io.EOF
	}
	n := copy(p, f[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
