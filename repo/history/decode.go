package history

import (
	"encoding/binary"
	"errors"
	"fmt"

	"zenith/internal/pg"
)

// ErrCorrupt is the error for bytes that are no chunk. It is a pg.ErrCorrupt.
var ErrCorrupt = fmt.Errorf("chunk of commits: %w", pg.ErrCorrupt)

var errVersion = errors.New("its version is not known")

// Decode gives the commits of a chunk, in LSN order.
func Decode(b []byte) ([]Commit, error) {
	in := reader{b: b}
	if v := in.byte(); v != chunkVersion && !in.bad {
		return nil, fmt.Errorf("%w: %w %d", ErrCorrupt, errVersion, v)
	}
	n := in.count(5)
	c := Commit{LSN: pg.LSN(in.uint()) * 8, Time: pg.TimestampTz(in.int()), XID: pg.TransactionID(in.uint())}
	rels := in.rels()
	commits := make([]Commit, 0, n)
	for range n {
		in.commit(&c, rels)
		commits = append(commits, c)
	}
	if in.bad || len(in.b) > 0 {
		return nil, fmt.Errorf("%w: %d bytes, %d are left", ErrCorrupt, len(b), len(in.b))
	}
	return commits, nil
}

// commit reads a commit; c is the one before it, of which it has the differences.
func (in *reader) commit(c *Commit, rels []pg.RelFileLocator) {
	flags := in.byte()
	in.bad = in.bad || flags&^flagsKnown != 0
	c.Aborted, c.Prepared, c.Partial = flags&flagAborted != 0, flags&flagPrepared != 0, flags&flagPartial != 0
	c.LSN += pg.LSN(in.uint()) * 8
	c.Time += pg.TimestampTz(in.int())
	c.XID += pg.TransactionID(in.int())
	c.Bytes = in.uint()
	c.SubXIDs = nil
	if flags&flagSubXIDs != 0 {
		c.SubXIDs = make([]pg.TransactionID, in.count(1))
		for i := range c.SubXIDs {
			c.SubXIDs[i] = c.XID + pg.TransactionID(in.int())
		}
	}
	c.Changes = in.changes(rels)
}

func (in *reader) changes(rels []pg.RelFileLocator) []Change {
	n := in.count(2)
	if n == 0 {
		return nil
	}
	changes := make([]Change, n)
	for i := range changes {
		c, id := &changes[i], in.uint()
		if id >= uint64(len(rels)) {
			in.bad = true
			return nil
		}
		c.Rel = rels[id]
		shape := in.byte()
		if shape&shapeWhat != 0 {
			c.What = What(in.byte())
		}
		for i, n := range [...]*uint64{&c.Inserted, &c.Updated, &c.Deleted} {
			if *n = uint64(shape >> (2 * i) & 3); *n >= shapeMany {
				*n = in.uint()
			}
		}
		if shape&shapeImages != 0 {
			c.Images = in.uint()
		}
	}
	return changes
}

// reader takes numbers off the front of b. When there is none, it is bad, and gives zeros from there on.
type reader struct {
	b   []byte
	bad bool
}

func (in *reader) byte() byte {
	if len(in.b) == 0 {
		in.bad = true
		return 0
	}
	v := in.b[0]
	in.b = in.b[1:]
	return v
}

func (in *reader) uint() uint64 {
	v, n := binary.Uvarint(in.b)
	if n <= 0 {
		in.b, in.bad = nil, true
		return 0
	}
	in.b = in.b[n:]
	return v
}

func (in *reader) int() int64 {
	v, n := binary.Varint(in.b)
	if n <= 0 {
		in.b, in.bad = nil, true
		return 0
	}
	in.b = in.b[n:]
	return v
}

// count reads how many things follow, each of which takes size bytes at least.
func (in *reader) count(size int) int {
	n := in.uint()
	if n > uint64(len(in.b)/size) {
		in.b, in.bad = nil, true
		return 0
	}
	return int(n)
}

func (in *reader) rel() pg.RelFileLocator {
	return pg.RelFileLocator{SpcOID: pg.OID(in.uint()), DBOID: pg.OID(in.uint()), RelNumber: pg.OID(in.uint())}
}

func (in *reader) rels() []pg.RelFileLocator {
	rels := make([]pg.RelFileLocator, in.count(3))
	for i := range rels {
		rels[i] = in.rel()
	}
	return rels
}
