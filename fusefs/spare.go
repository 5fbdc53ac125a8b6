package fusefs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"zenith/internal/durable"
)

// Names of files in the branch's WAL directory: the spare, a spare that is being written, and a
// segment that is about to replace another (adoptSegment). What a killed process leaves of them is
// removed like the temporary files of postgres, whose names begin in the same way.
const (
	spareName  = "xlogtemp.spare"
	makingName = "xlogtemp.making"
	adoptName  = "xlogtemp.adopt"
)

// spares has a segment of zeros ready, written and durable, for when postgres makes its next.
// A commit then only overwrites bytes that the file has, so its fdatasync writes nothing else. In
// a file with holes, which postgres makes with wal_init_zero=off, each commit has to wait for
// the file system's journal as well; and with wal_init_zero=on postgres writes the zeros itself,
// while its clients wait.
type spares struct {
	dir  string
	size int64 // of a segment; 0: none is ever made

	wanted chan struct{} // capacity 1: a spare is to be made
	ready  atomic.Bool   // there is a spare, or one is being made, or that failed
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// start starts the goroutine that makes spares in dir when they are wanted, until ctx ends or
// close is called. An error is passed to failed and ends it.
func (s *spares) start(ctx context.Context, dir string, size int64, failed func(error)) {
	s.dir, s.size, s.wanted = dir, size, make(chan struct{}, 1)
	ctx, s.cancel = context.WithCancel(ctx)
	s.wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.wanted:
			}
			if err := s.make(); err != nil {
				failed(err) // s.ready stays set, so there is no further attempt: postgres does without spares
				return
			}
		}
	})
}

// wrote has a spare made when a segment, which was written up to end, is more than half full.
func (s *spares) wrote(end int64) {
	if s.size > 0 && end > s.size/2 && s.ready.CompareAndSwap(false, true) {
		s.wanted <- struct{}{}
	}
}

// make makes a spare. Its name need not be durable: after a crash another one is made.
func (s *spares) make() error {
	making := filepath.Join(s.dir, makingName)
	if err := durable.Create(making, 0o600, func(f *os.File) error { return writeZeros(f, s.size) }); err != nil {
		return err
	}
	return os.Rename(making, filepath.Join(s.dir, spareName))
}

// take gives the spare the name path; false: there is no spare.
func (s *spares) take(path string) (bool, error) {
	err := os.Rename(filepath.Join(s.dir, spareName), path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		s.ready.Store(false)
	}
	return err == nil, err
}

// close ends the goroutine and removes the spare.
func (s *spares) close() error {
	if s.cancel == nil {
		return nil
	}
	s.cancel()
	s.wg.Wait()
	err := os.Remove(filepath.Join(s.dir, spareName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// writeZeros fills an empty file with zeros.
func writeZeros(f *os.File, size int64) error {
	zeros := make([]byte, fillChunk)
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.Write(zeros[:min(int64(len(zeros)), size-off)]); err != nil {
			return err
		}
	}
	return nil
}
