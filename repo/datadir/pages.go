package datadir

import (
	"context"
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/tree"
	"zenith/repo"
)

// segmentBytes is the size of a full segment of a relation.
const segmentBytes = pg.RelSegBlocks * pg.BlockSize

// pagesFile is a segment of a relation's fork, or of an SLRU.
type pagesFile struct {
	snap  *repo.Snapshot
	fork  pg.RelFork
	first pg.BlockNumber // the segment's first block
	size  int64
}

// pages makes the entry of a fork's segment; the fork has n blocks.
func (v *View) pages(fork pg.RelFork, segno uint32, n pg.BlockNumber) tree.Entry {
	first := int64(segno) * pg.RelSegBlocks
	size := min((int64(n)-first)*pg.BlockSize, segmentBytes)
	return tree.Entry{File: &pagesFile{snap: v.snap, fork: fork, first: pg.BlockNumber(first), size: max(size, 0)}}
}

// lookupRelation finds a segment of a relation's fork. A fork has at least one segment, and no
// empty one follows a full one. An unlogged relation has its init fork, and shows it once more
// as its main fork.
func (v *View) lookupRelation(ctx context.Context, p pg.Path) (tree.Entry, error) {
	fork := p.Fork
	if fork.Fork == pg.FSMFork || fork.Fork != pg.InitFork && fork.RelNumber == 0 {
		return tree.Entry{}, repo.ErrNotFound
	}
	if fork.Fork != pg.InitFork {
		unlogged := fork
		unlogged.Fork = pg.InitFork
		n, exists, err := v.snap.RelSize(ctx, unlogged)
		if err != nil {
			return tree.Entry{}, err
		}
		if exists {
			if fork.Fork != pg.MainFork {
				return tree.Entry{}, repo.ErrNotFound
			}
			return v.segment(unlogged, p.Segment, n, true, nil)
		}
	}
	n, exists, err := v.snap.RelSize(ctx, fork)
	return v.segment(fork, p.Segment, n, exists, err)
}

// segment gives the entry of a fork's segment, if there is one. n, exists and err are what RelSize
// says of the fork.
func (v *View) segment(fork pg.RelFork, segno uint32, n pg.BlockNumber, exists bool, err error) (tree.Entry, error) {
	if err == nil && (!exists || segno > 0 && int64(segno)*pg.RelSegBlocks >= int64(n)) {
		err = repo.ErrNotFound
	}
	if err != nil {
		return tree.Entry{}, err
	}
	return v.pages(fork, segno, n), nil
}

// relations adds the files of relations, if the listed directory is that of a database. The
// snapshot gives the forks of one relation one after the other, the init fork last.
func (l *lister) relations(ctx context.Context) error {
	p := l.v.version.ParsePath(l.dir)
	if p.Kind != pg.PathDatabase {
		return nil
	}
	var rel pg.OID
	var forks []forkSize
	err := l.v.snap.Relations(ctx, p.Fork.SpcOID, p.Fork.DBOID, func(rf pg.RelFork, n pg.BlockNumber) error {
		if rf.RelNumber != rel {
			l.relation(forks)
			rel, forks = rf.RelNumber, forks[:0]
		}
		forks = append(forks, forkSize{rf, n})
		return nil
	})
	l.relation(forks)
	return err
}

type forkSize struct {
	fork pg.RelFork
	n    pg.BlockNumber
}

// relation adds the files of one relation, whose forks those are. If it is unlogged, these are the
// init fork, and that once more as its main fork.
func (l *lister) relation(forks []forkSize) {
	if n := len(forks); n > 0 && forks[n-1].fork.Fork == pg.InitFork {
		last := forks[n-1]
		shown := last.fork
		shown.Fork = pg.MainFork
		l.segments(shown, last)
		l.segments(last.fork, last)
		return
	}
	for _, f := range forks {
		if f.fork.Fork != pg.FSMFork {
			l.segments(f.fork, f)
		}
	}
}

// segments adds the files of the fork f, under the name of the fork shown.
func (l *lister) segments(shown pg.RelFork, f forkSize) {
	for segno := uint32(0); segno == 0 || int64(segno)*pg.RelSegBlocks < int64(f.n); segno++ {
		l.addPath(l.v.version.RelPath(shown, segno), func() tree.File { return l.v.pages(f.fork, segno, f.n).File })
	}
}

// Size implements File.
func (f *pagesFile) Size() int64 { return f.size }

// ReadAt implements File.
func (f *pagesFile) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	want, end := clip(p, off, f.size)
	if err := f.read(ctx, want, off); err != nil {
		return 0, err
	}
	return len(want), end
}

// read fills p with the bytes from off on, all of which the file has. Whole blocks are read
// straight into p.
func (f *pagesFile) read(ctx context.Context, p []byte, off int64) error {
	blk, in := off/pg.BlockSize, off%pg.BlockSize
	if in == 0 && len(p) >= pg.BlockSize {
		n := len(p) / pg.BlockSize
		if err := f.blocks(ctx, blk, n, p[:n*pg.BlockSize]); err != nil {
			return err
		}
		p, blk = p[n*pg.BlockSize:], blk+int64(n)
	}
	for len(p) > 0 {
		var page [pg.BlockSize]byte
		if err := f.blocks(ctx, blk, 1, page[:]); err != nil {
			return err
		}
		n := copy(p, page[in:])
		p, blk, in = p[n:], blk+1, 0
	}
	return nil
}

func (f *pagesFile) blocks(ctx context.Context, blk int64, n int, dst []byte) error {
	tag := f.fork.Tag(f.first + pg.BlockNumber(blk))
	if err := f.snap.ReadPages(ctx, tag, n, dst); err != nil {
		return fmt.Errorf("read %v: %w", tag, err)
	}
	return nil
}

// storedFile is a file that history has whole.
type storedFile struct {
	snap *repo.Snapshot
	path string
	size int64
}

// Size implements File.
func (f *storedFile) Size() int64 { return f.size }

// ReadAt implements File.
func (f *storedFile) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	content, err := f.snap.ReadFile(ctx, f.path)
	if err != nil {
		return 0, err
	}
	return bytesFile(content).ReadAt(ctx, p, off)
}
