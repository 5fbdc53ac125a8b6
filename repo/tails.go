package repo

import "zenith/internal/pg"

// tails remembers what a flush wrote last of each page, so that the next one need not look
// for it in the store: that would be a seek for every page of a window. Only the flusher
// uses it. Whatever a collection does to versions leaves their keys and counts as they are.
type tails map[pg.BufferTag]tail

// tail is the end of a page's chain in the store.
type tail struct {
	at     pg.LSN // key of the last version
	length int32  // of the chain
	before int32  // as run's
	noRedo bool
}

// maxTails bounds the pages that are remembered: some 8 MB.
const maxTails = 100_000

func (t tails) put(tag pg.BufferTag, last tail) {
	if len(t) >= maxTails {
		clear(t)
	}
	t[tag] = last
}
