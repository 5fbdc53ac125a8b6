package fusefs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"zenith/internal/tree"
)

var (
	_ fs.FileReaddirenter = (*dirHandle)(nil)
	_ fs.FileSeekdirer    = (*dirHandle)(nil)
	_ fs.FileFsyncdirer   = (*dirHandle)(nil)
	_ fs.FileLookuper     = (*listedDirHandle)(nil)
)

// dirHandle is an open directory: the names it had when it was opened or rewound.
// A cookie is a position in that list, so names that come and go while a process
// reads shift nothing. go-fuse calls its methods one at a time.
type dirHandle struct {
	list func() ([]fuse.DirEntry, syscall.Errno)
	sync func() syscall.Errno

	entries []fuse.DirEntry
	pos     int
}

// newDirHandle opens a directory. list gives its entries, always in the same order; sync makes
// its names durable (nil: there is nothing to do).
func newDirHandle(list func() ([]fuse.DirEntry, syscall.Errno), sync func() syscall.Errno) *dirHandle {
	return &dirHandle{list: list, sync: sync}
}

// dots are the two names that every directory has.
func dots() []fuse.DirEntry {
	return []fuse.DirEntry{{Name: ".", Mode: syscall.S_IFDIR}, {Name: "..", Mode: syscall.S_IFDIR}}
}

// Readdirent gives the next name.
func (d *dirHandle) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if errno := d.load(); errno != 0 {
		return nil, errno
	}
	if d.pos >= len(d.entries) {
		return nil, 0
	}
	e := d.entries[d.pos]
	d.pos++
	e.Off = uint64(d.pos)
	return &e, 0
}

// load lists the names, unless that has been done.
func (d *dirHandle) load() syscall.Errno {
	if d.entries != nil {
		return 0
	}
	entries, errno := d.list()
	d.entries = entries
	return errno
}

// Seekdir makes the listing go on at a cookie; cookie 0 lists the names anew. A cookie other than
// 0 may come before any name was read: the kernel had the names before it in its cache, from
// another process's listing, and dropped the rest for want of memory.
func (d *dirHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off == 0 {
		d.entries, d.pos = nil, 0
		return 0
	}
	if errno := d.load(); errno != 0 {
		return errno
	}
	if off > uint64(len(d.entries)) {
		return syscall.EINVAL
	}
	d.pos = int(off)
	return 0
}

// Fsyncdir makes the names durable.
func (d *dirHandle) Fsyncdir(context.Context, uint32) syscall.Errno {
	if d.sync == nil {
		return 0
	}
	return d.sync()
}

// listedDirHandle is an open directory of a state. The kernel looks up each name that it lists
// (READDIRPLUS): the entries of the listing answer that, without asking the state again.
type listedDirHandle struct {
	dirHandle
	dir   *snapDir
	found map[string]tree.Entry
}

// Lookup answers for a name that Readdirent has given.
func (d *listedDirHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if e, ok := d.found[name]; ok {
		return d.dir.child(ctx, e, out), 0
	}
	return d.dir.Lookup(ctx, name, out)
}
