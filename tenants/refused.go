package tenants

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"zenith/fusefs"
	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
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
	refused := b.ing.Refused()
	if len(refused) == 0 {
		return nil, nil
	}
	if at, err := b.tl.Resolve(ctx, head); err != nil {
		return nil, err
	} else if !at.State.Shutdown || at.State.Prev != checkpoint {
		return nil, fmt.Errorf("branch %s: wal ends at %v, and not behind the shutdown checkpoint at %v", b.tl.Name(), head, checkpoint)
	}
	var last *pg.CheckPoint
	for tags := range slices.Chunk(refused, imagesAtOnce) {
		images, err := b.images(ctx, tags, written)
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
		for _, i := range images {
			b.ing.Settle(i.Tag)
		}
		last = &cp
	}
	if last != nil {
		b.t.log.Info("stored pages that an extension's wal records have changed, as the stopped postgres wrote them", "branch", b.tl.Name(), "checkpoint", last.Redo)
	}
	return last, nil
}

// images gives those of the pages that the branch cannot rebuild at its head, as postgres has left
// them on its mount. The caller holds b.catching.
func (b *branch) images(ctx context.Context, tags []pg.BufferTag, written fusefs.WrittenPages) ([]datadir.Image, error) {
	snap, err := b.tl.AtHead(ctx)
	if err != nil {
		return nil, err
	}
	var list []datadir.Image
	page := make(pg.Page, pg.BlockSize)
	for _, tag := range tags {
		err := snap.ReadPage(ctx, tag, page)
		switch {
		case err == nil, errors.Is(err, repo.ErrNotFound):
			b.ing.Settle(tag)
			continue
		case !errors.Is(err, repo.ErrUnsupported):
			return nil, err
		}
		ok, err := written(tag, page)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", tag, err)
		}
		if ok {
			list = append(list, datadir.Image{Tag: tag, Page: slices.Clone(page)})
		}
	}
	return list, nil
}

// unreadable says how many pages of a branch that is mounted for writing cannot be read, and why; ""
// if all can be, as far as this process has taken in the WAL.
func (m *mount) unreadable(ctx context.Context) (note string, err error) {
	if m.mode != api.ModeWritable {
		return "", nil
	}
	b := m.branch
	b.catching.Lock()
	defer b.catching.Unlock()
	refused := b.ing.Refused()
	if len(refused) == 0 {
		return "", nil
	}
	snap, err := b.tl.AtHead(ctx)
	if err != nil {
		return "", err
	}
	var n int
	var first error
	page := make(pg.Page, pg.BlockSize)
	for _, tag := range refused {
		err := snap.ReadPage(ctx, tag, page)
		switch {
		case err == nil, errors.Is(err, repo.ErrNotFound):
			b.ing.Settle(tag)
		case errors.Is(err, repo.ErrUnsupported):
			if n++; n == 1 {
				first = err
			}
		default:
			return "", err
		}
	}
	if n == 0 {
		return "", nil
	}
	return fmt.Sprintf("%d of its pages cannot be read: an extension's WAL records have changed them, and postgres was not stopped cleanly since; "+
		"that WAL is kept, and a branch of a point before it has the pages (%v)", n, first), nil
}
