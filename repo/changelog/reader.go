package changelog

import (
	"context"
	"slices"
	"strings"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/catalog"
	"zenith/repo/history"
)

// Reader reads the changelog of a timeline, from newer commits to older ones. It is for one goroutine.
type Reader struct {
	tl *repo.Timeline
	// after is the catalogs as of after the commit in hand, if they were needed there or behind it and names have
	// not changed since.
	after *catalog.Catalog
	class map[pg.OID]bool // the storage that pg_class has or had, of any database
}

// The OIDs of catalogs, which are the numbers of their storage until they are rewritten, and the first one of which
// a user's relation may be.
const (
	classRelation     pg.OID = 1259 // pg_class
	statisticRelation pg.OID = 2619 // pg_statistic
)

// NewReader makes a Reader of a timeline.
func NewReader(tl *repo.Timeline) *Reader {
	return &Reader{tl: tl, class: map[pg.OID]bool{classRelation: true}}
}

// at reads the catalogs of a state, and learns where pg_class is.
func (r *Reader) at(ctx context.Context, lsn pg.LSN) (*catalog.Catalog, error) {
	snap, err := r.tl.At(ctx, lsn)
	if err != nil {
		return nil, err
	}
	return catalog.Of(ctx, snap)
}

func (r *Reader) isClass(rel pg.RelFileLocator) bool { return r.class[rel.RelNumber] }

// Entry tells what a commit did. Commits must be given in descending order, those between that have changed
// catalogs too.
func (r *Reader) Entry(ctx context.Context, c *history.Commit) (Entry, error) {
	w := work{r: r, c: c, e: Entry{Commit: *c}, places: map[pg.OID]int{}}
	if err := w.run(ctx); err != nil {
		return Entry{}, err
	}
	r.Skip(c)
	if w.ddl {
		r.after = w.before // nil if it was not needed
	}
	return w.e, nil
}

// Skip passes by a commit of which nobody wants to know.
func (r *Reader) Skip(c *history.Commit) {
	if isDDL(c, r.isClass) {
		r.after = nil
	}
}

// work is how an Entry is made.
type work struct {
	r      *Reader
	c      *history.Commit
	e      Entry
	ddl    bool
	before *catalog.Catalog
	places map[pg.OID]int // of tables in e.Tables, by OID
}

func (w *work) run(ctx context.Context) error {
	w.ddl = isDDL(w.c, w.r.isClass)
	for i := range w.c.Changes {
		if err := w.change(ctx, &w.c.Changes[i]); err != nil {
			return err
		}
	}
	if w.ddl && !w.c.Aborted {
		if err := w.names(ctx); err != nil {
			return err
		}
	}
	w.e.Tables = slices.DeleteFunc(w.e.Tables, func(t Table) bool { return t.What == "" && t.Rows() == 0 })
	return nil
}

// catalogs gives those of after the commit, or before it.
func (w *work) catalogs(ctx context.Context, after bool) (_ *catalog.Catalog, err error) {
	if after {
		if w.r.after == nil {
			w.r.after, err = w.r.at(ctx, w.c.LSN)
		}
		return w.r.after, err
	}
	if !w.ddl {
		return w.catalogs(ctx, true)
	}
	if w.before == nil {
		w.before, err = w.r.at(ctx, w.c.LSN-1)
	}
	return w.before, err
}

// change takes in what the commit did to one storage.
func (w *work) change(ctx context.Context, ch *history.Change) error {
	if ch.What&history.Database != 0 {
		return w.database(ctx, ch)
	}
	if ch.Rel.RelNumber < pg.FirstNormalObjectID {
		w.e.Statistics = w.e.Statistics || ch.Rel.RelNumber == statisticRelation
		w.e.Catalogs = w.e.Catalogs || ch.Rel.RelNumber != statisticRelation
		return nil
	}
	rel, err := w.find(ctx, ch)
	if rel == nil || err != nil || !isOfUsers(rel) {
		return err
	}
	t := w.table(rel)
	t.Inserted += ch.Inserted
	t.Updated += ch.Updated
	t.Deleted += ch.Deleted
	switch {
	case ch.What&history.Advanced != 0 && t.What == "":
		t.What = Advanced
	case ch.What&history.Emptied != 0 && t.What == "" && hasRows(rel) && ch.Rows() == 0:
		t.What = Truncated
	case ch.What&(history.Created|history.Dropped) == history.Created && hasRows(rel) && t.What == "":
		// The table's storage is new: names tells a new table from one that has been emptied or rewritten.
		if t.What = Truncated; ch.Images > 0 || ch.Inserted > 0 {
			t.What = Rewritten
		}
	}
	return nil
}

// find gives the relation that has or had a storage; nil if it is nobody's: it was for the time of the transaction.
func (w *work) find(ctx context.Context, ch *history.Change) (*catalog.Relation, error) {
	after := ch.What&history.Dropped == 0 && !w.c.Aborted
	cat, err := w.catalogs(ctx, after)
	if err != nil {
		return nil, err
	}
	return cat.ByLocator(ctx, ch.Rel)
}

// isOfUsers reports whether what became of a relation is of interest.
func isOfUsers(rel *catalog.Relation) bool {
	return rel.Kind != 't' && rel.Schema != "pg_catalog" && rel.Schema != "information_schema" &&
		!strings.HasPrefix(rel.Schema, "pg_temp_") && !strings.HasPrefix(rel.Schema, "pg_toast")
}

// table gives the entry's table for a relation.
func (w *work) table(rel *catalog.Relation) *Table {
	i, ok := w.places[rel.OID]
	if !ok {
		i = len(w.e.Tables)
		w.places[rel.OID] = i
		w.e.Tables = append(w.e.Tables, Table{Relation: *rel})
	}
	return &w.e.Tables[i]
}

// names finds out which relations are there after the commit and not before, or before and not after, in the databases
// that it changed, and which have changed.
func (w *work) names(ctx context.Context) error {
	seen := map[pg.OID]bool{}
	for i := range w.c.Changes {
		db := w.c.Changes[i].Rel.DBOID
		if seen[db] || db == 0 || w.c.Changes[i].What&history.Database != 0 {
			continue
		}
		seen[db] = true
		if err := w.namesIn(ctx, db); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) namesIn(ctx context.Context, db pg.OID) error {
	var both [2]map[pg.OID]*catalog.Relation
	var defs [2]map[pg.OID]uint64
	for i, after := range [...]bool{false, true} {
		cat, err := w.catalogs(ctx, after)
		if err != nil {
			return err
		}
		list, err := cat.Relations(ctx, db)
		if err != nil {
			return err
		}
		if defs[i], err = cat.Definitions(ctx, db); err != nil {
			return err
		}
		both[i] = make(map[pg.OID]*catalog.Relation, len(list))
		for j := range list {
			both[i][list[j].OID] = &list[j]
		}
	}
	before, after := both[0], both[1]
	for _, oid := range inOrder(before) {
		if old := before[oid]; after[oid] == nil && isOfUsers(old) && (old.Of == 0 || after[old.Of] != nil) {
			w.table(old).What = Dropped
		}
	}
	for _, oid := range inOrder(after) {
		rel, old := after[oid], before[oid]
		switch {
		case !isOfUsers(rel):
		case old == nil && (rel.Of == 0 || before[rel.Of] != nil): // an index comes and goes with its table
			w.table(rel).What = Created
		case old != nil && rel.Of == 0 && defs[0][oid] != defs[1][oid]:
			// ALTER TYPE gives new storage, too: that it was rewritten says more.
			if t := w.table(rel); t.What == "" {
				t.What = Altered
			}
		}
	}
	return nil
}

// inOrder gives the OIDs in ascending order: about the order in which the relations were made.
func inOrder(rels map[pg.OID]*catalog.Relation) []pg.OID {
	list := make([]pg.OID, 0, len(rels))
	for oid := range rels {
		list = append(list, oid)
	}
	slices.Sort(list)
	return list
}

// database takes in that a database was created or dropped.
func (w *work) database(ctx context.Context, ch *history.Change) error {
	d := Database{What: Created}
	if ch.What&history.Dropped != 0 {
		d.What = Dropped
	}
	cat, err := w.catalogs(ctx, d.What == Created)
	if err != nil {
		return err
	}
	if d.Name = cat.Database(ch.Rel.DBOID); d.Name == "" {
		d.Name = ch.Rel.DBOID.String()
	}
	if !slices.Contains(w.e.Databases, d) {
		w.e.Databases = append(w.e.Databases, d)
	}
	return nil
}

// hasRows tells tables and materialized views from the rest.
func hasRows(rel *catalog.Relation) bool { return rel.Kind == 'r' || rel.Kind == 'm' }
