package repo

import (
	"sync"

	"zenith/internal/pg"
)

// tails remembers the tails of the pages that were flushed last, so that the next flush need not look
// for them in the store: that would be a seek for every page of a window. Only flushes use it. A
// collection that trims a chunk does not make it wrong: a trimmed chunk has the key and the counts of the
// chunk. One that deletes the size of a dropped fork clears it: see collection.clearTails.
type tails struct {
	mu sync.Mutex
	of pageTable[tail]
}

// tail is the end of a page's chain in the store.
type tail struct {
	at     pg.LSN // the LSN of the last version's key
	length int32  // as length of a run
	before int32  // as before of a run
	noRedo bool   // as noRedo of a run
}

// maxTails is how many pages are remembered, in some 8 MB; then all are dropped.
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

// clear drops all tails.
func (t *tails) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of.clear()
}
