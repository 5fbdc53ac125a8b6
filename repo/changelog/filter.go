package changelog

import (
	"slices"

	"zenith/internal/pg"
	"zenith/repo/history"
)

// Filter says which commits are wanted. The zero value wants all that did not abort.
type Filter struct {
	XID pg.TransactionID // that one, or the one of which it is a subtransaction; 0: any
	All bool             // aborted ones too
	// Table says of the names of a database, a schema and a table whether that is the one which the commit is to have changed,
	// and Database whether a database is the one that it is to have made or dropped; nil: any.
	Table    func(database, schema, table string) bool
	Database func(name string) bool
	What     What   // that did this to a table; "": anything
	Rows     uint64 // that changed so many rows of a table, at least
}

// Known reports whether w is something that may become of a relation.
func (w What) Known() bool { return mayHave[w] != nil }

// mayHave tells from the index alone whether a commit may have done something to a table.
var mayHave = map[What]func(c *history.Change) bool{
	Created: func(c *history.Change) bool { return c.What&history.Created != 0 || catalogRows(c) > 0 },
	Dropped: func(c *history.Change) bool {
		return c.What&history.Dropped != 0 || catalogRows(c) > 0 && c.Deleted > 0
	},
	Truncated: func(c *history.Change) bool { return c.What&(history.Created|history.Emptied) != 0 },
	Rewritten: func(c *history.Change) bool { return c.What&history.Created != 0 },
	Altered:   func(c *history.Change) bool { return catalogRows(c) > 0 },
	Advanced:  func(c *history.Change) bool { return c.What&history.Advanced != 0 },
}

// catalogRows is how many rows of catalogs were changed.
func catalogRows(c *history.Change) uint64 {
	if c.Rel.RelNumber >= pg.FirstNormalObjectID {
		return 0
	}
	return c.Rows()
}

// MayWant tells from the index whether a commit may be wanted.
func (f *Filter) MayWant(c *history.Commit) bool {
	if f.XID != 0 {
		return c.Has(f.XID)
	}
	if c.Aborted && !f.All {
		return false
	}
	may := mayHave[f.What] // nil if anything will do
	var rows uint64
	for i := range c.Changes {
		rows = max(rows, c.Changes[i].Rows())
	}
	return (may == nil || slices.ContainsFunc(c.Changes, func(ch history.Change) bool { return may(&ch) })) && rows >= f.Rows
}

// Wants reports whether an entry is wanted, of a commit that MayWant lets pass.
func (f *Filter) Wants(e *Entry) bool {
	if f.XID != 0 || f.Table == nil && f.What == "" && f.Rows == 0 {
		return true
	}
	return slices.ContainsFunc(e.Tables, f.isTable) || f.Rows == 0 && slices.ContainsFunc(e.Databases, f.isDatabase)
}

func (f *Filter) isTable(t Table) bool {
	if f.What != "" && f.What != t.What || t.Rows() < f.Rows {
		return false
	}
	return f.Table == nil || f.Table(t.Database, t.Schema, t.Name)
}

func (f *Filter) isDatabase(d Database) bool {
	return (f.What == "" || f.What == d.What) && (f.Database == nil || f.Database(d.Name))
}
