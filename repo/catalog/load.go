package catalog

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"strings"

	"zenith/internal/heap"
	"zenith/internal/pg"
)

// The catalogs that are read, by their OIDs.
const (
	databaseRelation  pg.OID = 1262 // pg_database
	classRelation     pg.OID = 1259 // pg_class
	namespaceRelation pg.OID = 2615 // pg_namespace
	indexRelation     pg.OID = 2610 // pg_index
	attributeRelation pg.OID = 1249 // pg_attribute
)

// Where columns lie in the rows of pg_database, pg_namespace and pg_class, which begin with an OID and a name
// (catalog/pg_class.h).
const (
	nameOffset = 4

	classSchema = 68 // relnamespace
	classFile   = 88 // relfilenode
	classSpace  = 92 // reltablespace

	indexTable = 4 // pg_index.indrelid
)

// definition is a hash of a row of pg_class, without relfilenode, without what lies between reltablespace and relkind
// (statistics, the TOAST table, whether there are indexes), and without relrewrite, relfrozenxid and relminmxid.
func definition(r heap.Columns, kind int) uint64 {
	const rewrite, acl = 13, 25 // behind relkind
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.Write(r[:classFile])
	_, _ = h.Write(r[classSpace : classSpace+4])
	_, _ = h.Write(r[kind:min(len(r), kind+rewrite)])
	_, _ = h.Write(r[min(len(r), kind+acl):])
	return h.Sum64()
}

// loader reads the catalogs of one database.
type loader struct {
	c  *Catalog
	d  *database
	db pg.OID

	rels    []Relation
	schema  []pg.OID          // of each of rels
	files   map[pg.OID]pg.OID // the storage of each relation
	schemas map[pg.OID]string
	tables  map[pg.OID]pg.OID // of indexes and TOAST tables
}

// classes reads pg_class.
func (l *loader) classes(ctx context.Context) error {
	in := l.c.snap.Version().Class
	return l.rows(ctx, classRelation, in.Kind+1, func(r heap.Columns) {
		rel := Relation{OID: r.OID(0), Database: l.d.name, Name: r.Name(nameOffset), Kind: r[in.Kind]}
		rel.Locator = pg.RelFileLocator{SpcOID: cmp.Or(r.OID(classSpace), l.d.spc), DBOID: l.db, RelNumber: r.OID(classFile)}
		if rel.Locator.SpcOID == pg.GlobalTablespace {
			rel.Locator.DBOID = 0
		}
		if toast := r.OID(in.Toast); toast != 0 {
			l.tables[toast] = rel.OID
		}
		rel.row = definition(r, in.Kind)
		l.files[rel.OID] = rel.Locator.RelNumber
		l.rels, l.schema = append(l.rels, rel), append(l.schema, r.OID(classSchema))
	})
}

func (l *loader) namespaces(ctx context.Context) error {
	return l.rows(ctx, namespaceRelation, nameOffset+heap.NameSize, func(r heap.Columns) { l.schemas[r.OID(0)] = r.Name(nameOffset) })
}

func (l *loader) indexes(ctx context.Context) error {
	return l.rows(ctx, indexRelation, indexTable+4, func(r heap.Columns) { l.tables[r.OID(0)] = r.OID(indexTable) })
}

// finish puts together what was read.
func (l *loader) finish(ctx context.Context) error {
	byID := make(map[pg.RelFileLocator]int, len(l.rels))
	for i := range l.rels {
		rel := &l.rels[i]
		rel.Of, rel.Schema = l.tables[rel.OID], l.schemas[l.schema[i]]
		if rel.Locator.RelNumber == 0 && strings.IndexByte("rit", rel.Kind) >= 0 {
			number, err := l.c.mapped(ctx, rel.Locator.SpcOID, rel.Locator.DBOID, rel.OID)
			if err != nil {
				return err
			}
			rel.Locator.RelNumber = number
		}
		if rel.Locator.RelNumber != 0 {
			byID[rel.Locator] = i
		}
	}
	l.d.rels, l.d.byID, l.d.attr = l.rels, byID, l.files[attributeRelation]
	return nil
}

// rows calls fn with the rows of a catalog of the database, which have at least size bytes.
func (l *loader) rows(ctx context.Context, relation pg.OID, size int, fn func(heap.Columns)) error {
	return l.c.rows(ctx, pg.RelFileLocator{SpcOID: l.d.spc, DBOID: l.db, RelNumber: l.files[relation]}, relation, size, fn)
}

// rows calls fn with the rows of a catalog, which have at least size bytes. If no storage is known of it, the map
// has it.
func (c *Catalog) rows(ctx context.Context, at pg.RelFileLocator, relation pg.OID, size int, fn func(heap.Columns)) (err error) {
	if at.RelNumber == 0 {
		if at.RelNumber, err = c.mapped(ctx, at.SpcOID, at.DBOID, relation); err != nil {
			return err
		}
	}
	rf := pg.RelFork{RelFileLocator: at}
	pages, err := c.read(ctx, rf)
	if err != nil {
		return err
	}
	if err := heap.Rows(pages, c.xacts, size, fn); err != nil {
		return fmt.Errorf("%v: %w", rf, err)
	}
	return nil
}

// mapped gives the storage of a mapped catalog; 0 if it is not in the map.
func (c *Catalog) mapped(ctx context.Context, spc, db, relation pg.OID) (pg.OID, error) {
	path := mapPath(c.snap.Version(), spc, db)
	m, err := c.snap.ReadFile(ctx, path)
	if err != nil {
		return 0, err
	}
	number, err := heap.Mapped(m, relation)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return number, nil
}

// read reads a whole fork; nil if it does not exist.
func (c *Catalog) read(ctx context.Context, rf pg.RelFork) ([]byte, error) {
	n, exists, err := c.snap.RelSize(ctx, rf)
	if err != nil || !exists {
		return nil, err
	}
	pages := make([]byte, int(n)*pg.BlockSize)
	return pages, c.snap.ReadPages(ctx, rf.Tag(0), int(n), pages)
}
