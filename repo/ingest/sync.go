package ingest

import (
	"fmt"

	"zenith/internal/durable"
	"zenith/internal/pg"
)

// syncWAL makes the timeline's WAL durable from from up to to.
func (in *Ingester) syncWAL(from, to pg.LSN) error {
	size := pg.LSN(in.tl.Info().SegSize)
	for at := from &^ (size - 1); at < to; at += size {
		if err := durable.SyncFileData(in.tl.SegmentPath(at)); err != nil {
			return fmt.Errorf("sync wal: %w", err)
		}
	}
	if to <= in.synced {
		return nil
	}
	if err := durable.SyncDir(in.tl.WALDir()); err != nil {
		return fmt.Errorf("sync wal directory: %w", err)
	}
	in.synced = (to + size - 1) &^ (size - 1)
	return nil
}
