package ingest

import (
	"context"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
)

// loadNotes reads the notes on pages of the timeline's head: refused gets those whose newest note is that redo
// refuses a record, and for each whether the timeline itself has that note. One that an ancestor has does for
// no later record: the ancestor's page may yet be made by other means.
func (in *Ingester) loadNotes(ctx context.Context) error {
	snap, err := in.tl.AtHead(ctx)
	if err != nil {
		return err
	}
	if _, in.bare, err = snap.HasForeign(ctx); err != nil {
		return err
	}
	in.refused = make(map[pg.BufferTag]bool)
	return snap.RefusedPages(ctx, func(tag pg.BufferTag, own bool) error {
		in.refused[tag] = own
		return nil
	})
}

// note notes what the record in hand means to a foreign page: see repo.ForeignNote. Only the first of
// several records in a row that redo refuses is noted, and only the first bare one.
func (in *Ingester) note(rec *xlog.Record, b *xlog.BlockRef) {
	own, was := in.refused[b.Tag]
	kind := repo.ForeignRefused
	switch {
	case rec.RmgrID >= xlog.RmMinCustom && !b.Restores() && !own:
		in.refused[b.Tag] = true
	case was && b.Restores():
		delete(in.refused, b.Tag)
		kind = repo.ForeignSettled
	case rec.RmgrID == xlog.RmGeneric && !in.bare && makesPage(b):
		in.bare = true
		kind = repo.ForeignBare
	default:
		return
	}
	in.batch.notes = append(in.batch.notes, repo.ForeignNote{Tag: b.Tag, LSN: rec.EndLSN, Kind: kind})
}

// makesPage reports whether a block of a Generic record has the whole header of a page, but no image: the page
// was new. Of a page that was not, some of the header's first bytes are the same.
func makesPage(b *xlog.BlockRef) bool {
	if b.Restores() {
		return false
	}
	r, _, err := xlog.CutGenericRegion(b.Data)
	return err == nil && r.Offset <= pageSizeOffset && r.Offset+len(r.Bytes) >= pageSizeOffset+2
}

// pageSizeOffset is where pd_pagesize_version is in a page's header: it changes only if the page was zeros.
const pageSizeOffset = 18

// Remade has later records noted again that redo refuses: the pages were made by other means, and are in
// the store, as of the head.
func (in *Ingester) Remade(tags []pg.BufferTag) {
	for _, tag := range tags {
		delete(in.refused, tag)
	}
}
