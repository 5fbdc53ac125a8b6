package repo

import (
	"context"
	"fmt"

	"zenith/internal/pg"
)

// PageCheck is what VerifyPages found of a page.
type PageCheck struct {
	Tag  pg.BufferTag
	Page pg.Page // with its checksum; valid until fn returns
	LSN  pg.LSN  // of the newest version; 0 if there is none: a page of zeros
	Cut  pg.LSN  // versions at or below are dead
	Err  error   // why the page cannot be rebuilt; nil if it can
}

// VerifyPages rebuilds n consecutive blocks, less those behind the relation's end, from what is
// stored, without the cache. It calls fn with each, until fn returns an error.
func (s *Snapshot) VerifyPages(ctx context.Context, first pg.BufferTag, n pg.BlockNumber, fn func(*PageCheck) error) (err error) {
	st, err := s.rel(finder{sights: s.sights()}, first.RelFork)
	if err != nil {
		return err
	}
	v := pageVerifier{s: s}
	defer v.close()
	check := PageCheck{Page: make(pg.Page, pg.BlockSize)}
	for blkno := first.Block; blkno < min(first.Block+n, st.n); blkno++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		check.Tag = first.RelFork.Tag(blkno)
		check.Cut = st.cutLSN(blkno)
		check.LSN, check.Err = v.read(check.Tag, check.Cut, check.Page)
		if err := fn(&check); err != nil {
			return err
		}
	}
	return nil
}

// pageVerifier rebuilds pages of one relation without the cache.
type pageVerifier struct {
	s *Snapshot
	r *pageReader // nil: to be made
}

// close drops the reader, and gives its error.
func (v *pageVerifier) close() (err error) {
	if v.r != nil {
		v.r.close(&err)
		v.r = nil
	}
	return err
}

// read rebuilds one page in dst, and gives the LSN of its newest version.
func (v *pageVerifier) read(tag pg.BufferTag, cut pg.LSN, dst pg.Page) (pg.LSN, error) {
	if v.r == nil {
		v.r = &pageReader{r: v.s.t.r, l: v.s.sights(), wide: appendRelFork(nil, kindPage, tag.RelFork)}
	}
	at, err := v.s.t.buildPage(v.r, tag, cut, dst)
	if v.r.c != nil && !v.r.c.it.Valid() || err != nil {
		// An iterator that met damage looks like one at its end, and stays there: only its Close
		// tells. Without a new one the pages that follow would seem to have no versions.
		if cerr := v.close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%v: %w", tag, err)
	}
	v.s.setChecksum(tag, dst)
	return at, nil
}
