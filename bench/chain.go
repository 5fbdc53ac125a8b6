package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/ingest"
	"zenith/repo/store"
	"zenith/walredo"
)

// ingestedCorpus is a corpus whose WAL was ingested into a repository, which was then closed and opened
// again.
type ingestedCorpus struct {
	c  *corpus
	r  *repo.Repository
	tl *repo.Timeline
}

// ingested imports the base, ingests the WAL until all of its history is in the store, and opens the
// repository again with the smallest possible cache of pages, so that each read rebuilds its page. The WAL is
// not packed yet.
func (c *corpus) ingested(ctx context.Context) (*ingestedCorpus, error) {
	c.n++
	dir := filepath.Join(c.p.dir, "repo"+strconv.Itoa(c.n))
	r, err := repo.Open(repo.Options{Dir: dir, Redo: walredo.Redo})
	if err != nil {
		return nil, err
	}
	tl, err := ingest.Import(ctx, r, c.base, ingest.ImportOptions{Name: "main"})
	if err == nil {
		err = c.copyWAL(tl.WALDir())
	}
	if err == nil {
		err = catchup(ctx, tl)
	}
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if r, err = repo.Open(repo.Options{Dir: dir, Redo: walredo.Redo, Cache: 1}); err != nil {
		return nil, err
	}
	if tl, err = r.ByName("main"); err == nil {
		tl.HoldWAL(func(string) bool { return true })
	}
	return &ingestedCorpus{c: c, r: r, tl: tl}, err
}

func catchup(ctx context.Context, tl *repo.Timeline) error {
	in, err := ingest.New(tl, ingest.Options{})
	if err != nil {
		return err
	}
	if _, err := in.Catchup(ctx); err != nil {
		return err
	}
	return tl.Flush(ctx)
}

// chainLength is how many records have to be applied to rebuild each page of benchChain.
const chainLength = 10

// chainPages is how many pages benchChain rebuilds, at most.
const chainPages = 2000

// benchChain rebuilds pages from an image and ten records each. The peer reads the same eleven values from
// Badger and applies nothing.
func (s *ingestedCorpus) benchChain(ctx context.Context, o options, h *history) ([]row, error) {
	var tags []pg.BufferTag
	for tag, id := range h.ids {
		if p := h.pages[id]; p.count == chainLength && !p.based && tag.Fork == pg.MainFork && !tag.IsSLRU() {
			tags = append(tags, tag)
		}
	}
	slices.SortFunc(tags, compareTags)
	tags = tags[:min(len(tags), chainPages)]
	if len(tags) == 0 {
		return nil, errors.New("no page has a chain of that length")
	}
	bare, err := s.bareStore(h)
	if err != nil {
		return nil, err
	}
	defer bare.Close()
	snapshot, err := s.tl.AtHead(ctx)
	if err != nil {
		return nil, err
	}
	page := make(pg.Page, pg.BlockSize)
	each := func(fn func(tag pg.BufferTag) error) func() (float64, error) {
		return func() (float64, error) {
			const passes = 20
			ms, err := milliseconds(func() error {
				for range passes {
					for _, tag := range tags {
						if err := fn(tag); err != nil {
							return err
						}
					}
				}
				return nil
			})
			return ms * 1000 / float64(passes*len(tags)), err
		}
	}
	const peer = "bare read of these values"
	ours := each(func(tag pg.BufferTag) error { return snapshot.ReadPage(ctx, tag, page) })
	theirs := each(func(tag pg.BufferTag) error { return readBare(bare, tag, page) })
	plain, err := compare(o, fmt.Sprintf("rebuild a page behind %d records", chainLength), peer, "us", ours, theirs)
	if err != nil {
		return nil, err
	}
	s.tl.HoldWAL(nil)
	if err := s.r.PackWAL(ctx); err != nil {
		return nil, err
	}
	packed, err := compare(o, "the same where their WAL is packed, but for its last 64 MiB", peer, "us", ours, theirs)
	return []row{plain, packed}, err
}

// bareStore makes the peer's store. For each page that changed it has the page's base image and first records
// as they are, one value each, under consecutive keys. It is about as large as the repository's store.
func (s *ingestedCorpus) bareStore(h *history) (store.Store, error) {
	dir := filepath.Join(s.c.p.dir, "bare")
	bare, err := store.OpenBadger(dir, store.BadgerOptions{})
	if err != nil {
		return nil, err
	}
	out := bare.Bulk()
	files := baseFiles{version: h.cfg.Version, dir: s.c.base}
	defer files.close()
	for _, tag := range h.tags() {
		page := make(pg.Page, pg.BlockSize)
		if err := files.read(tag, page); err != nil {
			return nil, err
		}
		if err := out.Put(bareKey(tag, 0), page); err != nil {
			return nil, err
		}
		p := h.pages[h.ids[tag]]
		for i, rec := range h.order[p.first : p.first+min(p.count, chainLength)] {
			if err := out.Put(bareKey(tag, i+1), h.appendRecord(nil, &h.recs[rec])); err != nil {
				return nil, err
			}
		}
	}
	// After it is opened again, all of its values are in tables on disk, as those of the repository are.
	if err := errors.Join(out.Flush(), bare.Close()); err != nil {
		return nil, err
	}
	return store.OpenBadger(dir, store.BadgerOptions{})
}

// bareKey is the key of a page's value number i. It is as long as the repository's key of a version.
func bareKey(tag pg.BufferTag, i int) []byte {
	b := []byte{0}
	for _, v := range [...]pg.OID{tag.SpcOID, tag.DBOID, tag.RelNumber, pg.OID(tag.Block)} {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 0, 0), uint64(i))
}

// readBare reads all values of a page, one after the other, into dst.
func readBare(store store.Store, tag pg.BufferTag, dst []byte) (err error) {
	prefix := bareKey(tag, 0)[:17]
	it := store.Iterator(prefix)
	defer func() { err = errors.Join(err, it.Close()) }()
	n := 0
	for it.Seek(prefix); it.Valid(); it.Next() {
		value, err := it.Value()
		if err != nil {
			return err
		}
		copy(dst, value)
		n++
	}
	if n != chainLength+1 {
		return fmt.Errorf("%v: %d values", tag, n)
	}
	return nil
}
