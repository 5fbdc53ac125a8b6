package fusefs

import (
	"context"
	"path/filepath"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"zenith/internal/pg"
	"zenith/internal/privileged"
)

// A server that makes a tablespace makes its version directory at the LOCATION, somewhere on this machine,
// and then pg_tblspc/OID, a symbolic link to it. Left so, the files of the tablespace would lie outside of
// the mount, stay there when it goes, and be in the way of the next server that makes a tablespace at that
// place: the same migration, tried on another branch. So the link lasts as long as the call that makes it. From
// then on pg_tblspc/OID is a directory of the mount, as the next mount shows it anyhow, and the version
// directory outside, which is empty, is removed. What tells other servers of the LOCATION is in WAL.

// makeTablespace makes pg_tblspc/OID for a server that asks for a link to target.
func (d *dir) makeTablespace(ctx context.Context, l *link, name string, out *fuse.EntryOut) *fs.Inode {
	in := d.entry(ctx, l, out) // the kernel takes nothing but a link in this answer,
	out.SetEntryTimeout(0)     // and asks again at the next use of the name
	version := d.t.control.Version.TablespaceDir()
	inside := d.t.makeDir(ctx, 0o700)
	inside.attach(version, d.t.makeDir(ctx, 0o700))
	d.attach(name, inside)
	removeOutside(d.t.opts.Helper, filepath.Join(l.target, version), inside.attr.uid, inside.attr.gid)
	return in
}

// removeOutside removes a version directory that a server has just made, and in which nothing is. It does
// so with the rights of the account that the server runs as, whose word for the path it has. What cannot be
// removed is left: it is empty. The caller waits a moment only, since the path may be on a mount of this
// very process.
func removeOutside(h privileged.Helper, dir string, uid, gid uint32) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.Rmdir(dir, int(uid), int(gid)) // what cannot be removed is left
	}()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
}

// isTablespace reports whether a link with that target at a path of the data directory is a tablespace's.
func (t *worktree) isTablespace(path, target string) bool {
	_, ok := pg.ParseTablespacePath(path)
	return ok && filepath.IsAbs(target) && t.control != nil
}
