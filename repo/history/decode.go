package history

import (
	"errors"
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/varint"
)

// ErrCorrupt is the error for bytes that are no chunk. It is a pg.ErrCorrupt.
var ErrCorrupt = fmt.Errorf("chunk of commits: %w", pg.ErrCorrupt)

var errVersion = errors.New("its version is not known")

// Decode gives the commits of a chunk, in LSN order.
func Decode(b []byte) ([]Commit, error) {
	in := newReader(b)
	if v := in.Byte(); v != chunkVersion && !in.Bad {
		return nil, fmt.Errorf("%w: %w %d", ErrCorrupt, errVersion, v)
	}
	n := in.Count(5)
	c := Commit{LSN: pg.LSN(in.Uint()) * 8, Time: pg.TimestampTz(in.Int()), XID: pg.TransactionID(in.Uint())}
	rels := in.rels()
	commits := make([]Commit, 0, n)
	for range n {
		in.commit(&c, rels)
		commits = append(commits, c)
	}
	if in.Bad || len(in.Rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes, %d are left", ErrCorrupt, len(b), len(in.Rest))
	}
	return commits, nil
}

// commit reads a commit; c is the one before it, of which it has the differences.
func (in *reader) commit(c *Commit, rels []pg.RelFileLocator) {
	flags := in.Byte()
	in.Bad = in.Bad || flags&^flagsKnown != 0
	c.Aborted, c.Prepared, c.Partial = flags&flagAborted != 0, flags&flagPrepared != 0, flags&flagPartial != 0
	c.LSN += pg.LSN(in.Uint()) * 8
	c.Time += pg.TimestampTz(in.Int())
	c.XID += pg.TransactionID(in.Int())
	c.Bytes = in.Uint()
	c.SubXIDs = nil
	if flags&flagSubXIDs != 0 {
		c.SubXIDs = make([]pg.TransactionID, in.Count(1))
		for i := range c.SubXIDs {
			c.SubXIDs[i] = c.XID + pg.TransactionID(in.Int())
		}
	}
	c.Changes = in.changes(rels)
}

func (in *reader) changes(rels []pg.RelFileLocator) []Change {
	n := in.Count(2)
	if n == 0 {
		return nil
	}
	changes := make([]Change, n)
	for i := range changes {
		c, id := &changes[i], in.Uint()
		if id >= uint64(len(rels)) {
			in.Bad = true
			return nil
		}
		c.Rel = rels[id]
		shape := in.Byte()
		if shape&shapeWhat != 0 {
			c.What = What(in.Byte())
		}
		for i, n := range [...]*uint64{&c.Inserted, &c.Updated, &c.Deleted} {
			if *n = uint64(shape >> (2 * i) & 3); *n >= shapeMany {
				*n = in.Uint()
			}
		}
		if shape&shapeImages != 0 {
			c.Images = in.Uint()
		}
	}
	return changes
}

// reader reads what chunks are made of.
type reader struct{ varint.Reader }

func newReader(b []byte) reader { return reader{varint.Reader{Rest: b}} }

func (in *reader) rel() pg.RelFileLocator {
	return pg.RelFileLocator{SpcOID: pg.OID(in.Uint()), DBOID: pg.OID(in.Uint()), RelNumber: pg.OID(in.Uint())}
}

func (in *reader) rels() []pg.RelFileLocator {
	rels := make([]pg.RelFileLocator, in.Count(3))
	for i := range rels {
		rels[i] = in.rel()
	}
	return rels
}
