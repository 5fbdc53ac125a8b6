package fusefs

import (
	"errors"
	"strings"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// lastWords lets the branch add to its WAL what it cannot rebuild of what postgres has written, and
// brings pg_control, which is kept, to the shutdown checkpoint that the branch has added behind.
// control is what pg_control says; it is changed, too. segments are the names of the WAL segments
// from the old checkpoint to the new one; nil if nothing was added.
func (t *worktree) lastWords(control *pg.ControlFile) (segments []string, err error) {
	before := control.CheckPoint
	added, err := t.branch.Stopped(t.ctx, before, t.writtenPage)
	if err != nil || added == nil {
		return nil, err
	}
	control.CheckPoint, control.CheckPointCopy = added.Redo, *added
	f, err := t.findFile(pg.ControlPath)
	if err != nil {
		return nil, err
	}
	if err := f.body.acquire(); err != nil {
		return nil, err
	}
	_, err = f.body.write(t.ctx, control.Encode(), 0)
	if err := errors.Join(err, f.body.release()); err != nil {
		return nil, err
	}
	size := pg.LSN(control.SegSize)
	for at := before &^ (size - 1); at <= added.Redo; at += size {
		segments = append(segments, xlog.SegmentName(added.ThisTLI, at, int(size)))
	}
	return segments, nil
}

// findFile gives the file at a path; nil if there is none.
func (t *worktree) findFile(path string) (*file, error) {
	d := t.root
	for {
		name, rest, deeper := strings.Cut(path, "/")
		c, err := d.find(name)
		if err != nil {
			return nil, err
		}
		if !deeper {
			f, _ := c.(*file)
			return f, nil
		}
		var ok bool
		if d, ok = c.(*dir); !ok {
			return nil, nil
		}
		path = rest
	}
}

// writtenPage is a WrittenPages.
func (t *worktree) writtenPage(tag pg.BufferTag, page pg.Page) (ok bool, err error) {
	if t.control == nil {
		return false, nil // no server could start
	}
	segment, block := tag.Block/pg.RelSegBlocks, int64(tag.Block%pg.RelSegBlocks)
	f, err := t.findFile(t.control.Version.RelPath(tag.RelFork, uint32(segment)))
	if err != nil || f == nil || f.size() < (block+1)*pg.BlockSize {
		return false, err
	}
	if err := f.body.acquire(); err != nil {
		return false, err
	}
	if _, base, _ := f.body.extent(block*pg.BlockSize, pg.BlockSize); base == nil && f.body.hasPrivate() {
		_, err = f.body.read(t.ctx, page[:pg.BlockSize], block*pg.BlockSize)
		ok = err == nil
	}
	return ok, errors.Join(err, f.body.release())
}
