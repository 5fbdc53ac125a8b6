package history

import (
	"encoding/binary"

	"zenith/internal/pg"
)

// A chunk is a run of commits in LSN order, as bytes:
//
//	| 1: version | n | LSN of the first, in units of 8 bytes | its time | its xid |
//	| m | m times spc, db, rel: the relations |
//	| n times: flags 1 | LSN - the one before | time - the one before | xid - the one before | bytes of WAL |
//	|          if it has some: how many subxids, each - xid |
//	|          how many changes: relation, shape 1, what 1, inserted, updated, deleted, images: as the shape says |
//
// Numbers are varints, differences that may be negative are zigzag. A commit of pgbench takes some 18 bytes.
const chunkVersion = 1

// The bits of a commit's flags in a chunk.
const (
	flagAborted = 1 << iota
	flagPrepared
	flagPartial
	flagSubXIDs

	flagsKnown = flagAborted | flagPrepared | flagPartial | flagSubXIDs
)

// The shape of a change: two bits for each count of rows (none, one, or a number that follows), and whether
// What and Images follow.
const (
	shapeNone, shapeOne, shapeMany = 0, 1, 2

	shapeWhat   = 1 << 6
	shapeImages = 1 << 7
)

// Chunk collects commits in LSN order and encodes them. The zero value is empty and ready.
type Chunk struct {
	n               int
	first, last     pg.LSN
	firstTime, time pg.TimestampTz
	firstXID, xid   pg.TransactionID
	rels, body      []byte
	relCount        int
	index           map[pg.RelFileLocator]uint64
	recent          [8]recentRel // of index: a lookup without the map
	recentAt        int
}

type recentRel struct {
	rel pg.RelFileLocator
	id  uint64 // plus 1; 0: the entry is empty
}

// Len is how many commits the chunk has.
func (k *Chunk) Len() int { return k.n }

// Size is how many bytes it takes, about.
func (k *Chunk) Size() int { return len(k.rels) + len(k.body) + 32 }

// First is the LSN of the first commit.
func (k *Chunk) First() pg.LSN { return k.first }

// Last is the LSN of the last commit.
func (k *Chunk) Last() pg.LSN { return k.last }

// Reset makes the chunk empty.
func (k *Chunk) Reset() {
	clear(k.index)
	*k = Chunk{rels: k.rels[:0], body: k.body[:0], index: k.index}
}

// Add appends a commit, which is behind those before.
func (k *Chunk) Add(c *Commit) {
	if k.n == 0 {
		k.first, k.firstTime, k.firstXID = c.LSN, c.Time, c.XID
		k.last, k.time, k.xid = c.LSN, c.Time, c.XID
	}
	flags := flag(c.Aborted, flagAborted) | flag(c.Prepared, flagPrepared) | flag(c.Partial, flagPartial) | flag(len(c.SubXIDs) > 0, flagSubXIDs)
	b := append(k.body, flags)
	b = binary.AppendUvarint(b, uint64(c.LSN-k.last)/8)
	b = binary.AppendVarint(b, int64(c.Time-k.time))
	b = binary.AppendVarint(b, int64(int32(c.XID-k.xid)))
	b = binary.AppendUvarint(b, c.Bytes)
	if len(c.SubXIDs) > 0 {
		b = binary.AppendUvarint(b, uint64(len(c.SubXIDs)))
		for _, sub := range c.SubXIDs {
			b = binary.AppendVarint(b, int64(int32(sub-c.XID)))
		}
	}
	k.body = k.appendChanges(b, c.Changes)
	k.n++
	k.last, k.time, k.xid = c.LSN, c.Time, c.XID
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

func (k *Chunk) appendChanges(b []byte, changes []Change) []byte {
	b = binary.AppendUvarint(b, uint64(len(changes)))
	for i := range changes {
		c := &changes[i]
		b = binary.AppendUvarint(b, k.rel(c.Rel))
		counts := [...]uint64{c.Inserted, c.Updated, c.Deleted}
		shape := flag(c.What != 0, shapeWhat) | flag(c.Images != 0, shapeImages)
		for i, n := range counts {
			shape |= byte(min(n, shapeMany)) << (2 * i)
		}
		b = append(b, shape)
		if c.What != 0 {
			b = append(b, byte(c.What))
		}
		for _, n := range counts {
			if n >= shapeMany {
				b = binary.AppendUvarint(b, n)
			}
		}
		if c.Images != 0 {
			b = binary.AppendUvarint(b, c.Images)
		}
	}
	return b
}

// rel gives a relation's number in the chunk.
func (k *Chunk) rel(rel pg.RelFileLocator) uint64 {
	for i := range k.recent {
		if k.recent[i].id != 0 && k.recent[i].rel == rel {
			return k.recent[i].id - 1
		}
	}
	id, ok := k.index[rel]
	if !ok {
		if k.index == nil {
			k.index = make(map[pg.RelFileLocator]uint64)
		}
		id = uint64(k.relCount)
		k.relCount++
		k.index[rel] = id
		k.rels = appendRel(k.rels, rel)
	}
	k.recent[k.recentAt] = recentRel{rel, id + 1}
	k.recentAt = (k.recentAt + 1) % len(k.recent)
	return id
}

func appendRel(b []byte, rel pg.RelFileLocator) []byte {
	b = binary.AppendUvarint(b, uint64(rel.SpcOID))
	b = binary.AppendUvarint(b, uint64(rel.DBOID))
	return binary.AppendUvarint(b, uint64(rel.RelNumber))
}

// Encode gives the chunk as bytes, which are the caller's.
func (k *Chunk) Encode() []byte {
	b := make([]byte, 0, k.Size())
	b = append(b, chunkVersion)
	b = binary.AppendUvarint(b, uint64(k.n))
	b = binary.AppendUvarint(b, uint64(k.first)/8)
	b = binary.AppendVarint(b, int64(k.firstTime))
	b = binary.AppendUvarint(b, uint64(k.firstXID))
	b = binary.AppendUvarint(b, uint64(k.relCount))
	b = append(b, k.rels...)
	return append(b, k.body...)
}
