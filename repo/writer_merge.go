package repo

import (
	"time"

	"zenith/internal/pg"
)

// mergeStep is how many page versions are merged under one hold of the window's lock, for which
// readers wait.
const mergeStep = 1024

// merge puts the batch into the open window. Nothing of it is visible yet: it is above the head.
func (w *Writer) merge() {
	for pages := w.pages; len(pages) > 0; {
		n := min(len(pages), mergeStep)
		w.size += w.w.mergePages(pages[:n])
		pages = pages[n:]
	}
	w.size += w.w.mergeRest(w)
	w.t.heads.merge(w)
}

// mergePages adds versions of pages, and gives the bytes of memory that they take.
func (w *window) mergePages(pages []pendingPage) (cost int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range pages {
		p, fresh := w.pages.add(pages[i].tag)
		if fresh {
			p.versions = make([]version, 0, 4)
			cost += pageCost
		}
		if p.add(pages[i].v) {
			cost += versionCost
		}
	}
	return cost
}

// add appends v, and reports whether that made p longer. If there is a version at v's LSN already, it
// stays, unless v is an image: a record may be added twice for one page, and an image has what the
// record would do.
func (p *pageLog) add(v version) bool {
	if n := len(p.versions); n > 0 && p.versions[n-1].end == v.end {
		if linkFlags(v.what)&linkImage != 0 {
			p.versions[n-1] = v
		}
		return false
	}
	p.versions = append(p.versions, v)
	return true
}

// mergeRest adds everything of a batch but the pages, and gives the bytes of memory that it takes.
func (w *window) mergeRest(from *Writer) (cost int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range from.events {
		r := w.rels[e.rf]
		if r == nil {
			r = &relLog{before: e.before, last: e.before}
			w.rels[e.rf] = r
			cost += smallCost
		}
		cost += r.add(e)
	}
	for _, d := range from.dbs {
		w.dbs[d.k] = append(w.dbs[d.k], d.ev)
		cost += smallCost
	}
	for _, f := range from.files {
		w.files[f.path] = append(w.files[f.path], f.v)
		cost += smallCost + int64(len(f.v.content))
	}
	for _, s := range from.states {
		w.states = append(w.states, s)
		cost += smallCost + int64(len(s.encoded))
	}
	for _, k := range from.commits {
		w.commits = append(w.commits, k)
		cost += smallCost + int64(len(k.encoded))
	}
	if from.running != nil {
		w.running = from.running
	}
	return cost
}

// add appends an event, and gives the bytes of memory that it takes. If the database was dropped
// since the last event, only the state before e shows it. Then the drop is made an event too, since
// the state at an LSN is computed from the events alone.
func (r *relLog) add(e pendingEvent) (cost int64) {
	evs := []relEvent{e.ev}
	if r.last.exists && !e.before.exists {
		evs = []relEvent{{lsn: e.before.cuts[len(e.before.cuts)-1].lsn, dropped: true}, e.ev}
	}
	for _, ev := range evs {
		r.events = append(r.events, ev)
		r.last = r.last.apply(ev)
		cost += eventCost
	}
	return cost
}

// merge takes over the sizes that a batch changed.
func (h *headSizes) merge(w *Writer) {
	if len(w.events) == 0 && len(w.dbs) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.rels) >= maxHeadSizes {
		clear(h.rels)
	}
	for rf, p := range w.rels {
		if p.dirty {
			h.rels[rf] = p.state
		}
	}
	for _, d := range w.dbs {
		h.dbs[d.k] = d.ev
	}
}

// publish moves the head to e, which makes visible what was merged into w, and seals w if it is full.
// The caller has the turn.
func (t *Timeline) publish(w *window, e endpoint) {
	w.mu.Lock()
	if w.opened.IsZero() {
		w.opened = time.Now()
	}
	w.end = e
	size, age := w.size, time.Since(w.opened)
	w.mu.Unlock()
	t.head.set(e)
	wal := e.lsn - w.start
	early := wal >= sealEarly && age < sealRush && t.sealedCount() == 0
	if early || wal >= sealWAL || size >= t.r.mem.sealSize() {
		t.sealOpen()
	}
}

// When a window is sealed. The more WAL it has, the fewer versions of a page are written. But while
// WAL comes in fast and no window is being flushed, waiting would leave a processor idle.
const (
	sealWAL   = pg.LSN(128 << 20) // of WAL: always
	sealEarly = pg.LSN(16 << 20)  // of WAL: if it came within sealRush, and no window is being flushed
	sealRush  = time.Second
)
