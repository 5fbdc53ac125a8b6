package datadir

import (
	"context"
	"sync"
	"zenith/internal/tree"
)

// readPart is how many bytes of a file are read at once.
const readPart = 1 << 20

// reader reads whole files for somebody who writes them. While one part is written, the next two
// are read: to rebuild pages takes longer than to write them.
type reader struct {
	bufs [3][]byte
}

func newReader() *reader {
	r := new(reader)
	for i := range r.bufs {
		r.bufs[i] = make([]byte, readPart)
	}
	return r
}

// each calls fn with the parts of f, in order. A part is valid until fn returns. After an
// error no part follows.
func (r *reader) each(ctx context.Context, f tree.File, fn func([]byte) error) error {
	size := f.Size()
	if size == 0 {
		return ctx.Err()
	}
	var reading sync.WaitGroup
	defer reading.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var done [len(r.bufs)]chan error
	part := func(off int64) (n int, p []byte) {
		n = int(off / readPart % int64(len(r.bufs)))
		return n, r.bufs[n][:min(size-off, readPart)]
	}
	read := func(off int64) {
		n, p := part(off)
		told := make(chan error, 1)
		done[n] = told
		reading.Go(func() {
			_, err := f.ReadAt(ctx, p, off)
			told <- err
		})
	}
	const ahead = int64(len(r.bufs)) * readPart
	for off := int64(0); off < min(size, ahead); off += readPart {
		read(off)
	}
	for off := int64(0); off < size; off += readPart {
		n, p := part(off)
		err := <-done[n]
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = fn(p)
		}
		if err != nil {
			return err
		}
		if off+ahead < size {
			read(off + ahead)
		}
	}
	return nil
}
