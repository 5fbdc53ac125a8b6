package lossyfs

import (
	"io/fs"
	"maps"
	"sync"
	"syscall"
	"time"
)

const (
	blockSize  = 4096
	sectorSize = 512
)

// disk is a tree of files in memory. Its methods are safe for concurrent use; those of file are for a caller that
// holds mu.
type disk struct {
	mu   sync.Mutex
	root *file
	last uint64 // the number of the last file that was made
	dead bool   // the power is gone: nothing can be read, written or synced any more
}

func newDisk() *disk {
	d := &disk{}
	d.root = d.newFile(syscall.S_IFDIR | 0o755)
	return d
}

// file is an inode: a file, a directory or a symbolic link.
type file struct {
	no       uint64
	mode     uint32 // with the bits of the type
	uid, gid uint32
	mtime    time.Time
	links    uint32
	target   string // of a symbolic link

	now, durable content
	dirty        map[int64]bool // blocks that are not the same in now and durable

	names, durableNames map[string]*file // of a directory
	pending             []*change        // changes of names that are not durable, in order
	born                *change          // the one that gave a file its first name, until the file is synced
}

// content is the contents of a file; blocks that are not there are zeros. Blocks are never changed, but replaced: so
// two contents may share them.
type content struct {
	size   int64
	blocks map[int64]*[blockSize]byte
}

// change is one change of names, in one or two directories.
type change struct{ steps []step }

// step sets a name in a directory, or removes it if to is nil.
type step struct {
	dir  *file
	name string
	to   *file
}

func (d *disk) newFile(mode uint32) *file {
	d.last++
	f := &file{no: d.last, mode: mode, mtime: time.Now(), dirty: map[int64]bool{}}
	f.now.blocks, f.durable.blocks = map[int64]*[blockSize]byte{}, map[int64]*[blockSize]byte{}
	if f.isDir() {
		f.names, f.durableNames = map[string]*file{}, map[string]*file{}
	}
	return f
}

func (f *file) isDir() bool { return f.mode&syscall.S_IFMT == syscall.S_IFDIR }

// apply makes a change, which is not durable yet.
func (d *disk) apply(steps ...step) {
	c := &change{steps: steps}
	if f := steps[0].to; len(steps) == 1 && f != nil && f.links == 0 {
		f.born = c
	}
	for i, s := range steps {
		if old := s.dir.names[s.name]; old != nil {
			old.links--
		}
		if s.to == nil {
			delete(s.dir.names, s.name)
		} else {
			s.dir.names[s.name] = s.to
			s.to.links++
		}
		s.dir.mtime = time.Now()
		if i == 0 || s.dir != steps[0].dir {
			s.dir.pending = append(s.dir.pending, c)
		}
	}
}

// syncNames makes the first n pending changes of a directory durable, and with each one what came before it in the
// other directory that it changes.
func (f *file) syncNames(n int) {
	for range n {
		c := f.pending[0]
		for _, s := range c.steps {
			for other := s.dir; other != f && len(other.pending) > 0 && other.pending[0] != c && other.has(c); {
				other.syncNames(1)
			}
		}
		if len(f.pending) == 0 || f.pending[0] != c {
			continue // what came before it in the other directory led here
		}
		for _, s := range c.steps {
			if s.to == nil {
				delete(s.dir.durableNames, s.name)
			} else {
				s.dir.durableNames[s.name] = s.to
			}
			if len(s.dir.pending) > 0 && s.dir.pending[0] == c {
				s.dir.pending = s.dir.pending[1:]
			}
		}
	}
}

func (f *file) has(c *change) bool {
	for _, p := range f.pending {
		if p == c {
			return true
		}
	}
	return false
}

// sync is fsync.
func (f *file) sync() {
	if f.isDir() {
		for len(f.pending) > 0 {
			f.syncNames(1)
		}
		return
	}
	if f.born != nil {
		for dir := f.born.steps[0].dir; dir.has(f.born); {
			dir.syncNames(1)
		}
		f.born = nil
	}
	for no := range f.dirty {
		f.durable.set(no, f.now.blocks[no])
	}
	clear(f.dirty)
	f.durable.size = f.now.size
}

func (c *content) set(no int64, b *[blockSize]byte) {
	if b == nil {
		delete(c.blocks, no)
		return
	}
	c.blocks[no] = b
}

// syncAll makes all of a tree durable, as if it had been there for long.
func (d *disk) syncAll() {
	var all func(f *file)
	all = func(f *file) {
		f.sync()
		for _, c := range f.names {
			all(c)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	all(d.root)
}

// write writes p at off.
func (f *file) write(p []byte, off int64) {
	for n := 0; n < len(p); {
		no, at := (off+int64(n))/blockSize, (off+int64(n))%blockSize
		b := new([blockSize]byte)
		if old := f.now.blocks[no]; old != nil {
			*b = *old
		}
		n += copy(b[at:], p[n:])
		f.now.blocks[no], f.dirty[no] = b, true
	}
	f.now.size = max(f.now.size, off+int64(len(p)))
	f.mtime = time.Now()
}

// read fills p with what is at off, and gives how many bytes there were.
func (f *file) read(p []byte, off int64) int {
	p = p[:max(0, min(int64(len(p)), f.now.size-off))]
	for n := 0; n < len(p); {
		no, at := (off+int64(n))/blockSize, (off+int64(n))%blockSize
		part := p[n:min(len(p), n+int(blockSize-at))]
		if b := f.now.blocks[no]; b != nil {
			copy(part, b[at:])
		} else {
			clear(part)
		}
		n += len(part)
	}
	return len(p)
}

// zero makes the bytes in [from, to) zeros.
func (f *file) zero(from, to int64) {
	for no := range maps.Clone(f.now.blocks) {
		first, last := max(from, no*blockSize), min(to, (no+1)*blockSize)
		if first >= last {
			continue
		}
		f.dirty[no] = true
		if last-first == blockSize {
			delete(f.now.blocks, no)
			continue
		}
		b := *f.now.blocks[no]
		clear(b[first-no*blockSize : last-no*blockSize])
		f.now.blocks[no] = &b
	}
}

// truncate changes the length.
func (f *file) truncate(size int64) {
	if size < f.now.size {
		f.zero(size, f.now.size+blockSize)
	}
	f.now.size = size
	f.mtime = time.Now()
}

// allocate is fallocate: it makes the file longer unless keep is set.
func (f *file) allocate(off, n int64, keep bool) {
	if !keep {
		f.now.size = max(f.now.size, off+n)
	}
}

// lookup finds a name in a directory.
func (f *file) lookup(name string) (*file, error) {
	if c := f.names[name]; c != nil {
		return c, nil
	}
	return nil, fs.ErrNotExist
}
