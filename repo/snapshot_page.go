package repo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"zenith/internal/pg"
)

// ReadPage rebuilds the page tag in dst, with its checksum if the cluster has checksums. ErrNotFound
// if the relation or the block does not exist, ErrUnsupported if redo does not know one of its
// records, ErrCorrupt if its versions or their WAL are damaged.
func (s *Snapshot) ReadPage(ctx context.Context, tag pg.BufferTag, dst pg.Page) error {
	return s.readPages(ctx, tag, 1, dst, nil)
}

// ReadPages is ReadPage for n consecutive blocks; dst is n pages long. It is cheaper than n calls of
// ReadPage.
func (s *Snapshot) ReadPages(ctx context.Context, first pg.BufferTag, n int, dst []byte) error {
	return s.readPages(ctx, first, n, dst, appendRelFork(nil, kindPage, first.RelFork))
}

// readPages is ReadPages. wide is the prefix of the keys of all the pages; nil if there is only one.
func (s *Snapshot) readPages(ctx context.Context, tag pg.BufferTag, n int, dst []byte, wide []byte) (err error) {
	if len(dst) < n*pg.BlockSize {
		return fmt.Errorf("read %d pages into %d bytes: %w", n, len(dst), ErrInvalid)
	}
	began := time.Now()
	defer func() {
		if err != nil {
			err = s.unlessForgotten(err)
		}
		s.t.r.meters.read(n, time.Since(began), err)
	}()
	sights := s.sights()
	st, err := s.rel(finder{sights: sights}, tag.RelFork)
	if err != nil {
		return err
	}
	if !st.exists || uint64(tag.Block)+uint64(n) > uint64(st.n) {
		return fmt.Errorf("%v at %v: %w", tag, s.point.LSN, ErrNotFound)
	}
	r := pageReader{r: s.t.r, cache: s.t.r.cache, l: sights, wide: wide, checkKept: s.checkKept}
	defer r.close(&err)
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		page := pg.Page(dst[i*pg.BlockSize : (i+1)*pg.BlockSize])
		if err := s.readPage(&r, tag, st.cutLSN(tag.Block), page); err != nil {
			return err
		}
		tag.Block++
	}
	return nil
}

// readPage rebuilds one page in dst. Versions at or below cut are dead.
func (s *Snapshot) readPage(r *pageReader, tag pg.BufferTag, cut pg.LSN, dst pg.Page) error {
	_, err := s.t.buildPage(r, tag, cut, dst)
	if err := s.unlessForgotten(err); err != nil {
		return fmt.Errorf("%v: %w", s, err)
	}
	s.setChecksum(tag, dst)
	return nil
}

// setChecksum gives a page its checksum, if the cluster has checksums.
func (s *Snapshot) setChecksum(tag pg.BufferTag, page pg.Page) {
	if s.point.State.ChecksumVersion != 0 && !tag.IsSLRU() && !page.IsNew() {
		page.SetChecksum(pg.Checksum(page, tag.Block))
	}
}

// buildPage rebuilds the page tag in dst as r sees it, without a checksum. It gives the LSN of the
// newest version; 0 if there is none, and the page is zeros.
func (t *Timeline) buildPage(r *pageReader, tag pg.BufferTag, cut pg.LSN, dst pg.Page) (pg.LSN, error) {
	t.r.reading.RLock()
	defer t.r.reading.RUnlock()
	ch := newChain(tag)
	defer ch.free()
	if err := r.renew(); err != nil {
		return 0, err
	}
	if err := r.fill(ch, cut); err != nil {
		return 0, err
	}
	if r.cache != nil && (ch.hit || len(ch.links) > 0) {
		t.r.meters.looked(ch.hit)
	}
	err := ch.build(t.r.redo, t.wal, dst)
	if errors.Is(err, ErrUnsupported) {
		err = ch.buildRemade(r, t, cut, dst, err)
	}
	if err != nil {
		return 0, err
	}
	if len(ch.links) > 0 && r.cache != nil && (r.checkKept == nil || r.checkKept() == nil) {
		r.cache.put(tag, ch.topNo, ch.topLSN, dst)
	}
	return ch.topLSN, nil
}
