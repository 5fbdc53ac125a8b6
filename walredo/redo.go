package walredo

import (
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Cluster is what redo has to know of the cluster beside page and record.
type Cluster struct {
	// LogHints says that the cluster has data checksums or wal_log_hints. Only
	// then does Heap2/VISIBLE move the heap page's LSN.
	LogHints bool
}

// Redo is Cluster.Redo for a cluster that has data checksums.
func Redo(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error {
	return Cluster{LogHints: true}.Redo(page, tag, rec)
}

// Redo brings page, which is tag's as of before rec, to after rec. If the record
// neither registers tag nor changes it otherwise, that is an error: the caller was
// to ask only for pages that rec changes. After an error the page's content is
// undefined.
func (c Cluster) Redo(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error {
	if err := c.redo(page, tag, rec); err != nil {
		rm, name := Name(rec)
		return fmt.Errorf("%s/%s at %v, %v: %w", rm, name, rec.StartLSN, tag, err)
	}
	return nil
}

func (c Cluster) redo(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error {
	if len(page) != pg.BlockSize {
		return fmt.Errorf("page of %d bytes: %w", len(page), ErrCorrupt)
	}
	m, o := lookup(rec)
	if m == nil {
		return fmt.Errorf("unknown resource manager %d: %w", rec.RmgrID, ErrUnsupported)
	}
	if o == nil {
		return ErrUnsupported
	}
	for i := range rec.Blocks {
		if rec.Blocks[i].Tag == tag {
			return c.redoBlock(page, rec, &rec.Blocks[i], o)
		}
	}
	if o.effect == nil {
		return errUntouched
	}
	return o.effect(page, tag, rec)
}

// redoBlock is what XLogReadBufferForRedo and a redo routine together do to one of
// the record's blocks.
func (c Cluster) redoBlock(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef, o *op) error {
	restored := blk.HasImage && blk.Apply
	if restored {
		if err := restoreImage(page, rec, blk); err != nil {
			return err
		}
		if !o.afterImage.has(blk.ID) {
			return nil
		}
	}
	if o.untouched.has(blk.ID) {
		return nil
	}
	if blk.Tag.Fork == pg.VisibilityMapFork && o.vm != nil {
		return o.vm.redoBlock(page, rec, blk)
	}
	if o.redo == nil {
		return fmt.Errorf("block %d: %w", blk.ID, ErrUnsupported)
	}
	if !blk.WillInit || restored {
		if err := checkPage(page, o.newOK.has(blk.ID)); err != nil {
			return err
		}
	}
	if err := o.redo(page, rec, blk); err != nil {
		return err
	}
	if o.ownLSN.has(blk.ID) || o.hintLSN.has(blk.ID) && !c.LogHints && (o.hint == nil || o.hint(rec)) {
		return nil
	}
	page.SetLSN(rec.EndLSN)
	return nil
}

// restoreImage puts the record's full-page image in place of the page. An all-zero
// page stays one: it gets no LSN.
func restoreImage(page pg.Page, rec *xlog.Record, blk *xlog.BlockRef) error {
	if err := blk.Image.Restore(page); err != nil {
		return fmt.Errorf("image of block %d: %w: %w", blk.ID, err, ErrCorrupt)
	}
	if !page.IsNew() {
		page.SetLSN(rec.EndLSN)
	}
	return nil
}

// checkPage refuses a page that no redo function could work on: one that was never
// initialised, or whose header breaks PageIsVerified's rules.
func checkPage(page pg.Page, newOK bool) error {
	if page.IsNew() {
		if newOK {
			return nil
		}
		return corrupt("page was never initialised")
	}
	lower, upper, special := page.Lower(), page.Upper(), page.Special()
	if lower < pg.PageHeaderSize || lower > upper || upper > special ||
		special > pg.BlockSize || special%8 != 0 {
		return corrupt("page header has lower %d, upper %d, special %d", lower, upper, special)
	}
	return nil
}
