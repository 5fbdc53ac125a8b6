package ingest

import (
	"fmt"
	"os"
	"syscall"

	"zenith/internal/pg"
)

// syncWAL makes the timeline's WAL durable from from up to to.
func (in *Ingester) syncWAL(from, to pg.LSN) error {
	size := pg.LSN(in.tl.Info().SegSize)
	for at := from &^ (size - 1); at < to; at += size {
		if err := syncFile(in.tl.SegmentPath(at), syscall.Fdatasync); err != nil {
			return fmt.Errorf("sync wal: %w", err)
		}
	}
	if to <= in.synced {
		return nil
	}
	if err := syncFile(in.tl.WALDir(), syscall.Fsync); err != nil {
		return fmt.Errorf("sync wal directory: %w", err)
	}
	in.synced = (to + size - 1) &^ (size - 1)
	return nil
}

func syncFile(path string, sync func(fd int) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if err = sync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
