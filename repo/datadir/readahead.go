package datadir

import "context"

// readPart is how much of a file is read at once.
const readPart = 1 << 20

// reader reads whole files, the next part of one while the last is written.
type reader struct {
	bufs [2][]byte
}

func newReader() *reader {
	return &reader{bufs: [2][]byte{make([]byte, readPart), make([]byte, readPart)}}
}

// each calls fn with the parts of f, in order. A part is valid until fn returns.
func (r *reader) each(ctx context.Context, f File, fn func([]byte) error) error {
	size := f.Size()
	if size > readPart {
		return r.ahead(ctx, f, size, fn)
	}
	part := r.bufs[0][:size]
	if size == 0 {
		return ctx.Err()
	}
	if _, err := f.ReadAt(ctx, part, 0); err != nil {
		return err
	}
	return fn(part)
}

// ahead reads in a goroutine, which has ended on return.
func (r *reader) ahead(ctx context.Context, f File, size int64, fn func([]byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	free, full := make(chan []byte, len(r.bufs)), make(chan []byte)
	for _, b := range r.bufs {
		free <- b
	}
	var readErr error
	go func() {
		defer close(full)
		for off := int64(0); off < size && readErr == nil; {
			part := (<-free)[:min(size-off, readPart)]
			if readErr = ctx.Err(); readErr != nil {
				return
			}
			if _, readErr = f.ReadAt(ctx, part, off); readErr != nil {
				return
			}
			off += int64(len(part))
			select {
			case full <- part:
			case <-ctx.Done():
				readErr = ctx.Err()
			}
		}
	}()
	var writeErr error
	for part := range full {
		if writeErr == nil {
			writeErr = fn(part)
		}
		if writeErr != nil {
			cancel()
		}
		free <- part[:readPart]
	}
	if writeErr != nil {
		return writeErr
	}
	return readErr
}
