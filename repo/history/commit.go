package history

import "zenith/internal/pg"

// Commit is a transaction that ended: what it did, summed up. It has one also for a transaction or a
// subtransaction that aborted after it had written something.
type Commit struct {
	LSN      pg.LSN // the end of the record that ended it: the first point at which its changes are seen
	Time     pg.TimestampTz
	XID      pg.TransactionID
	SubXIDs  []pg.TransactionID // its committed subtransactions
	Aborted  bool
	Prepared bool // it was a two-phase transaction
	// Partial: it began before the index did, which may lack some of what it did.
	Partial bool
	Bytes   uint64   // of WAL: all of its records
	Changes []Change // of each relation once, in the order in which they were first changed
}

// Has reports whether xid is the transaction's, or that of one of its subtransactions.
func (c *Commit) Has(xid pg.TransactionID) bool {
	if c.XID == xid {
		return true
	}
	for _, sub := range c.SubXIDs {
		if sub == xid {
			return true
		}
	}
	return false
}

// What says what became of a relation's storage.
type What uint8

// The bits of What.
const (
	Created  What = 1 << iota // its main fork came into being
	Dropped                   // it goes when the transaction ends
	Emptied                   // it was truncated in place, to no blocks
	Advanced                  // it is a sequence that was written
	Database                  // it is not a relation but a database's directory: RelNumber is 0
)

// Change is what a transaction did to one relation.
type Change struct {
	Rel      pg.RelFileLocator
	What     What
	Inserted uint64 // rows, as are the next two
	Updated  uint64
	Deleted  uint64
	Images   uint64 // blocks of its main fork that were logged whole, as a rewrite or an index build does
}

// Rows is how many rows were changed, of whatever kind.
func (c *Change) Rows() uint64 { return c.Inserted + c.Updated + c.Deleted }

// add sums another change of the same relation up.
func (c *Change) add(o Change) {
	c.What |= o.What
	c.Inserted += o.Inserted
	c.Updated += o.Updated
	c.Deleted += o.Deleted
	c.Images += o.Images
}
