package ingest

import (
	"context"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
)

// refusedAtHead gives the pages of the timeline's head whose newest note is that redo refuses a record, and
// for each whether the timeline itself has that note. One that an ancestor has does for no later record: the
// ancestor's page may yet be made by other means.
func refusedAtHead(ctx context.Context, tl *repo.Timeline) (map[pg.BufferTag]bool, error) {
	snap, err := tl.AtHead(ctx)
	if err != nil {
		return nil, err
	}
	refused := make(map[pg.BufferTag]bool)
	return refused, snap.RefusedPages(ctx, func(tag pg.BufferTag, own bool) error {
		refused[tag] = own
		return nil
	})
}

// note notes what the record in hand means to a foreign page: see repo.ForeignNote. Only the first of
// several records in a row that redo refuses is noted.
func (in *Ingester) note(rec *xlog.Record, b *xlog.BlockRef) {
	refuses := rec.RmgrID >= xlog.RmMinCustom && !b.Restores()
	own, was := in.refused[b.Tag]
	switch {
	case refuses && !own:
		in.refused[b.Tag] = true
	case was && b.Restores():
		delete(in.refused, b.Tag)
	default:
		return
	}
	in.batch.notes = append(in.batch.notes, repo.ForeignNote{Tag: b.Tag, LSN: rec.EndLSN, Settled: !refuses})
}

// Remade has later records noted again that redo refuses: the pages were made by other means, and are in
// the store, as of the head.
func (in *Ingester) Remade(tags []pg.BufferTag) {
	for _, tag := range tags {
		delete(in.refused, tag)
	}
}
