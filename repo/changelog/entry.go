package changelog

import (
	"zenith/internal/pg"
	"zenith/repo/catalog"
	"zenith/repo/history"
)

// Entry is a commit, and what it did to whom.
type Entry struct {
	Commit history.Commit
	Tables []Table // tables and other relations of users, in the order in which they were first changed
	// Databases are those that it created or dropped.
	Databases []Database
	// Statistics: of catalogs it changed nothing but statistics; Catalogs: others, too.
	Statistics, Catalogs bool
}

// What says what became of a relation.
type What string

// What may become of a relation. The empty What stands for changes of rows alone.
const (
	Created   What = "created"
	Dropped   What = "dropped"
	Truncated What = "truncated"
	Rewritten What = "rewritten" // it has new storage with the same rows, as VACUUM FULL and ALTER TYPE make
	Altered   What = "altered"   // its rows in pg_class or pg_attribute changed
	Advanced  What = "advanced"  // a sequence
)

// Table is a relation of users, and what a commit did to it.
type Table struct {
	catalog.Relation // as of after the commit; of a dropped one, before
	What             What
	Inserted         uint64 // rows, as the next two
	Updated          uint64
	Deleted          uint64
}

// Rows is how many rows were changed, of whatever kind.
func (t *Table) Rows() uint64 { return t.Inserted + t.Updated + t.Deleted }

// Database is a database that a commit created or dropped.
type Database struct {
	Name string
	What What
}

// isDDL reports whether a commit has changed pg_class: names may be others before it.
func isDDL(c *history.Commit, class func(pg.RelFileLocator) bool) bool {
	for i := range c.Changes {
		ch := &c.Changes[i]
		if ch.What&(history.Created|history.Dropped|history.Database) != 0 || ch.Rows() > 0 && class(ch.Rel) {
			return true
		}
	}
	return false
}
