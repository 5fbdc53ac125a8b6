package repo

import (
	"sync"

	"zenith/internal/pg"
)

// tails remembers what a flush wrote last of each page, so that the next one need not look
// for it in the store: that would be a seek for every page of a window. Only flushes use it.
// Whatever a collection does to versions leaves their keys and counts as they are.
type tails struct {
	mu sync.Mutex
	of pageTable[tail]
}

// tail is the end of a page's chain in the store.
type tail struct {
	at     pg.LSN // key of the last version
	length int32  // of the chain
	before int32  // as run's
	noRedo bool
}

// maxTails bounds the pages that are remembered: some 8 MB.
const maxTails = 3 << 15

func (t *tails) get(tag pg.BufferTag) (last tail, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.of.find(tag); p != nil {
		return *p, true
	}
	return tail{}, false
}

func (t *tails) put(tag pg.BufferTag, last tail) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of.n >= maxTails {
		t.of.clear()
	}
	p, _ := t.of.add(tag)
	*p = last
}

// forget drops all.
func (t *tails) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of.clear()
}
