package repo

import (
	"context"
	"fmt"

	"zenith/internal/pg"
)

// PageCheck is what VerifyPages tells of a page.
type PageCheck struct {
	Tag  pg.BufferTag
	Page pg.Page // with its checksum; valid until the call returns
	LSN  pg.LSN  // the newest version's; 0 if there is none: a page of zeros
	Cut  pg.LSN  // versions at or below are dead
	Err  error   // it cannot be rebuilt
}

// VerifyPages rebuilds n blocks from what is stored, never from a page that was rebuilt
// before, and calls fn with each one, until fn returns an error.
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

// pageVerifier reads pages of one relation, past the cache.
type pageVerifier struct {
	s *Snapshot
	r *pageReader
}

// close drops the iterator, and tells what it met.
func (v *pageVerifier) close() (err error) {
	if v.r != nil {
		v.r.close(&err)
		v.r = nil
	}
	return err
}

func (v *pageVerifier) read(tag pg.BufferTag, cut pg.LSN, dst pg.Page) (pg.LSN, error) {
	if v.r == nil {
		v.r = &pageReader{r: v.s.t.r, l: v.s.sights(), wide: appendRelFork(nil, kindPage, tag.RelFork)}
	}
	at, err := v.s.t.buildPage(v.r, tag, cut, dst)
	if v.r.c != nil && !v.r.c.it.Valid() || err != nil {
		// An iterator that met damage looks like one at its end, and stays there.
		if cerr := v.close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%v: %w", tag, err)
	}
	v.s.seal(tag, dst)
	return at, nil
}
