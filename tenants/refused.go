package tenants

import (
	"context"
	"fmt"
	"slices"

	"zenith/fusefs"
	"zenith/internal/pg"
	"zenith/repo/datadir"
)

// imagesAtOnce is how many pages are in memory at once to be added to WAL.
const imagesAtOnce = 1024

// Stopped adds images of those pages to the branch's WAL that no one but the postgres which has just
// been stopped could make: records of an extension's resource manager have changed them.
func (w writable) Stopped(ctx context.Context, checkpoint pg.LSN, written fusefs.WrittenPages) (*pg.CheckPoint, error) {
	b := w.b
	b.catching.Lock()
	defer b.catching.Unlock()
	head, err := b.ing.Catchup(ctx)
	if err != nil {
		return nil, err
	}
	snap, err := b.tl.AtHead(ctx)
	if err != nil {
		return nil, err
	}
	refused, _, err := snap.Unreadable(ctx)
	if err != nil || len(refused) == 0 {
		return nil, err
	}
	if at := snap.State(); !at.Shutdown || at.Prev != checkpoint {
		return nil, fmt.Errorf("branch %s: wal ends at %v, and not behind the shutdown checkpoint at %v", b.tl.Name(), head, checkpoint)
	}
	var last *pg.CheckPoint
	for tags := range slices.Chunk(refused, imagesAtOnce) {
		images, err := images(tags, written)
		if err != nil {
			return last, err
		}
		if len(images) == 0 {
			continue
		}
		cp, err := datadir.AddImages(ctx, b.tl, images)
		if err != nil {
			return last, err
		}
		if _, err := b.ing.Catchup(ctx); err != nil {
			return last, err
		}
		last = &cp
	}
	if last != nil {
		b.t.log.Info("stored pages that an extension's wal records have changed, as the stopped postgres wrote them", "branch", b.tl.Name(), "checkpoint", last.Redo)
	}
	return last, nil
}

// images gives those of the pages that postgres has written on its mount, as it has left them.
func images(tags []pg.BufferTag, written fusefs.WrittenPages) (list []datadir.Image, err error) {
	for _, tag := range tags {
		page := make(pg.Page, pg.BlockSize)
		ok, err := written(tag, page)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", tag, err)
		}
		if ok {
			list = append(list, datadir.Image{Tag: tag, Page: page})
		}
	}
	return list, nil
}
