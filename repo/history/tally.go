package history

import "zenith/internal/pg"

// tally is what one transaction id has done so far.
type tally struct {
	bytes   uint64
	changes []Change
	index   map[pg.RelFileLocator]int // into changes, once there are more than a few
	last    int                       // the change that was asked for last
}

// fewChanges is up to how many changes a tally is searched one by one.
const fewChanges = 12

// of gives the change of a relation, a new one if it has none yet.
func (t *tally) of(rel pg.RelFileLocator) *Change {
	if t.last < len(t.changes) && t.changes[t.last].Rel == rel {
		return &t.changes[t.last]
	}
	i := t.find(rel)
	if i < 0 {
		i = len(t.changes)
		t.changes = append(t.changes, Change{Rel: rel})
		if t.index != nil {
			t.index[rel] = i
		}
	}
	t.last = i
	return &t.changes[i]
}

// find gives the place of a relation's change, or -1.
func (t *tally) find(rel pg.RelFileLocator) int {
	if len(t.changes) <= fewChanges {
		for i := range t.changes {
			if t.changes[i].Rel == rel {
				return i
			}
		}
		return -1
	}
	if t.index == nil {
		t.index = make(map[pg.RelFileLocator]int, 2*len(t.changes))
		for i := range t.changes {
			t.index[t.changes[i].Rel] = i
		}
	}
	if i, ok := t.index[rel]; ok {
		return i
	}
	return -1
}

// merge adds another transaction's tally: that of a subtransaction.
func (t *tally) merge(o *tally) {
	t.bytes += o.bytes
	for _, c := range o.changes {
		t.of(c.Rel).add(c)
	}
}

// reset makes t empty, to be used again.
func (t *tally) reset() {
	*t = tally{changes: t.changes[:0]}
}
