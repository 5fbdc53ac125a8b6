// Package catalog knows the names of databases and relations as of a state of the past, from the pages of the
// catalogs there. No postgres is started for it.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"

	"zenith/internal/heap"
	"zenith/internal/pg"
	"zenith/repo"
)

// Catalog is the catalogs of a state. It reads those of a database when that is asked for first. It is for one
// goroutine.
type Catalog struct {
	snap  *repo.Snapshot
	xacts *heap.Xacts

	databases map[pg.OID]*database
}

// database is a database whose name is known.
type database struct {
	name string
	spc  pg.OID     // its default tablespace
	rels []Relation // nil: not read yet
	byID map[pg.RelFileLocator]int
	defs map[pg.OID]uint64 // nil: not read yet
	attr pg.OID            // the storage of pg_attribute, if it is not mapped
}

// Relation is a row of pg_class.
type Relation struct {
	OID      pg.OID
	Locator  pg.RelFileLocator // RelNumber is 0 if it has no storage
	Database string
	Schema   string
	Name     string
	Kind     byte   // relkind: 'r' a table, 'i' an index, 't' a TOAST table, 'S' a sequence, ...
	Of       pg.OID // of an index or a TOAST table: the table; else 0

	row uint64 // a hash of the row, without what VACUUM and ANALYZE change, and without the storage
}

// String names the relation as users do: with the database, and the schema unless that is public.
func (r *Relation) String() string {
	if r.Schema == "public" {
		return quoted(r.Database) + "." + quoted(r.Name)
	}
	return quoted(r.Database) + "." + quoted(r.Schema) + "." + quoted(r.Name)
}

// quoted is quote_ident, without the reserved words.
func quoted(name string) string {
	plain := func(i int, c byte) bool {
		return c >= 'a' && c <= 'z' || c == '_' || i > 0 && (c >= '0' && c <= '9' || c == '$')
	}
	for i := range len(name) {
		if !plain(i, name[i]) {
			return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		}
	}
	return name
}

// Of gives the catalogs of a state. ErrCorrupt of package repo if they cannot be read as catalogs.
func Of(ctx context.Context, snap *repo.Snapshot) (*Catalog, error) {
	c := &Catalog{snap: snap, databases: make(map[pg.OID]*database)}
	c.xacts = heap.NewXacts(func(segno uint32) ([]byte, error) { return c.read(ctx, pg.SLRUXact.Segment(segno)) })
	spaces := make(map[pg.OID]pg.OID)
	err := snap.Databases(ctx, func(spc, db pg.OID) error {
		// The default tablespace of a database is the one that has its map.
		_, err := snap.ReadFile(ctx, mapPath(snap.Version(), spc, db))
		if err == nil {
			spaces[db] = spc
		}
		if errors.Is(err, repo.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	global := pg.RelFileLocator{SpcOID: pg.GlobalTablespace}
	err = c.rows(ctx, global, databaseRelation, nameOffset+heap.NameSize, func(r heap.Columns) {
		if spc, ok := spaces[r.OID(0)]; ok {
			c.databases[r.OID(0)] = &database{name: r.Name(nameOffset), spc: spc}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("names of databases: %w", err)
	}
	return c, nil
}

func mapPath(v *pg.Version, spc, db pg.OID) string {
	return v.DatabasePath(spc, db) + "/pg_filenode.map"
}

// Database gives the name of a database; "" if there is none with that OID.
func (c *Catalog) Database(db pg.OID) string {
	if d := c.databases[db]; d != nil {
		return d.name
	}
	return ""
}

// Relations lists the relations of a database, those without storage too, in no order. None if there is no such database.
func (c *Catalog) Relations(ctx context.Context, db pg.OID) ([]Relation, error) {
	d, err := c.load(ctx, db)
	if d == nil || err != nil {
		return nil, err
	}
	return d.rels, nil
}

// ByLocator finds the relation that has a storage. The result is nil if there is none.
func (c *Catalog) ByLocator(ctx context.Context, loc pg.RelFileLocator) (*Relation, error) {
	db := loc.DBOID
	if db == 0 { // a shared catalog is in the pg_class of each database
		for oid := range c.databases {
			db = oid
			break
		}
	}
	d, err := c.load(ctx, db)
	if d == nil || err != nil {
		return nil, err
	}
	if i, ok := d.byID[loc]; ok {
		return &d.rels[i], nil
	}
	return nil, nil
}

// Definitions gives a hash of what is known of each relation of a database, by OID: its row in pg_class, without its
// storage and its statistics, and those of its columns in pg_attribute.
func (c *Catalog) Definitions(ctx context.Context, db pg.OID) (map[pg.OID]uint64, error) {
	d, err := c.load(ctx, db)
	if d == nil || err != nil || d.defs != nil {
		return d.definitions(), err
	}
	defs := make(map[pg.OID]uint64, len(d.rels))
	for i := range d.rels {
		defs[d.rels[i].OID] = d.rels[i].row
	}
	at := pg.RelFileLocator{SpcOID: d.spc, DBOID: db, RelNumber: d.attr}
	err = c.rows(ctx, at, attributeRelation, 4, func(r heap.Columns) { defs[r.OID(0)] += maphash.Bytes(seed, r) })
	if err != nil {
		return nil, fmt.Errorf("columns of database %s: %w", d.name, err)
	}
	d.defs = defs
	return defs, nil
}

func (d *database) definitions() map[pg.OID]uint64 {
	if d == nil {
		return nil
	}
	return d.defs
}

// seed makes hashes of one process comparable.
var seed = maphash.MakeSeed()

// load reads a database's catalogs, unless that was done; nil if there is no such database.
func (c *Catalog) load(ctx context.Context, db pg.OID) (*database, error) {
	d := c.databases[db]
	if d == nil || d.rels != nil {
		return d, nil
	}
	l := loader{c: c, d: d, db: db, files: make(map[pg.OID]pg.OID), schemas: make(map[pg.OID]string), tables: make(map[pg.OID]pg.OID)}
	for _, step := range [...]func(context.Context) error{l.classes, l.namespaces, l.indexes, l.finish} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("catalogs of database %s: %w", d.name, err)
		}
	}
	return d, nil
}
