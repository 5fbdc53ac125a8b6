package xlog

import (
	"encoding/binary"
	"fmt"
	"math"

	"zenith/internal/pg"
)

// cstruct is the bytes of a C struct, known to be long enough for all of its fields, which
// are read by their offsets. It is for structs of one size: redo parses one with each page
// that it brings forward, so there is nothing to it but the loads. Type fields
// reads bodies whose parts are optional or of different lengths.
type cstruct []byte

// structOf checks that b begins with the C struct called name, of size bytes.
func structOf(b []byte, name string, size int) (cstruct, error) {
	if len(b) < size {
		return nil, errStruct(name, len(b), size)
	}
	return cstruct(b), nil
}

// wholeStruct is structOf for a struct that is all of b. It is for bodies that another major
// version has longer or shorter: its records must not be taken for this one's.
func wholeStruct(b []byte, name string, size int) (cstruct, error) {
	if len(b) != size {
		return nil, errStruct(name, len(b), size)
	}
	return cstruct(b), nil
}

// conflictStruct is wholeStruct for a struct of a record that may conflict with queries on a standby: in the
// versions that say so, isCatalogRel is one byte more, behind the struct's size bytes.
func conflictStruct(v *pg.Version, b []byte, name string, size int) (s cstruct, catalogRel bool, err error) {
	if !v.ConflictCatalogRel {
		s, err = wholeStruct(b, name, size)
		return s, false, err
	}
	if s, err = wholeStruct(b, name, size+1); err != nil {
		return nil, false, err
	}
	return s, s.flag(size), nil
}

func errStruct(name string, n, size int) error {
	return fmt.Errorf("%s is %d bytes, want %d: %w", name, n, size, ErrCorrupt)
}

func (s cstruct) u16(off int) uint16 { return binary.LittleEndian.Uint16(s[off:]) }
func (s cstruct) u32(off int) uint32 { return binary.LittleEndian.Uint32(s[off:]) }
func (s cstruct) i32(off int) int32  { return int32(s.u32(off)) }
func (s cstruct) u64(off int) uint64 { return binary.LittleEndian.Uint64(s[off:]) }
func (s cstruct) flag(off int) bool  { return s[off] != 0 }

func (s cstruct) float64(off int) float64 { return math.Float64frombits(s.u64(off)) }

func (s cstruct) oid(off int) pg.OID           { return pg.OID(s.u32(off)) }
func (s cstruct) xid(off int) pg.TransactionID { return pg.TransactionID(s.u32(off)) }
func (s cstruct) fullXID(off int) pg.FullTransactionID {
	return pg.FullTransactionID(s.u64(off))
}
func (s cstruct) lsn(off int) pg.LSN            { return pg.LSN(s.u64(off)) }
func (s cstruct) block(off int) pg.BlockNumber  { return pg.BlockNumber(s.u32(off)) }
func (s cstruct) item(off int) pg.OffsetNumber  { return pg.OffsetNumber(s.u16(off)) }
func (s cstruct) tid(off int) pg.ItemPointer    { return pg.GetItemPointer(s[off:]) }
func (s cstruct) rel(off int) pg.RelFileLocator { return getLocator(s[off:]) }

// multiOffset reads a MultiXactOffset of size bytes: 4 or 8.
func (s cstruct) multiOffset(off, size int) pg.MultiXactOffset {
	if size == 8 {
		return pg.MultiXactOffset(s.u64(off))
	}
	return pg.MultiXactOffset(s.u32(off))
}

// blockID reads a BlockIdData: two halves, the upper one first.
func (s cstruct) blockID(off int) pg.BlockNumber {
	return pg.BlockNumber(s.u16(off))<<16 | pg.BlockNumber(s.u16(off+2))
}
