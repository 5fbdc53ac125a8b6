package xlog

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"zenith/internal/pg"
)

// fields reads the members of a C struct one after the other. A read past the end gives
// zeros; done tells of it, so that a parser asks once, at its end.
type fields struct {
	in    []byte
	off   int
	short bool
}

// take gives the next n bytes, or n zero bytes at most 8 long.
func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.in)-f.off {
		f.short = true
		f.off = len(f.in)
		return zeros[:min(max(n, 0), len(zeros))]
	}
	b := f.in[f.off : f.off+n]
	f.off += n
	return b
}

var zeros [8]byte

func (f *fields) u8() uint8   { return f.take(1)[0] }
func (f *fields) u16() uint16 { return binary.LittleEndian.Uint16(f.take(2)) }
func (f *fields) u32() uint32 { return binary.LittleEndian.Uint32(f.take(4)) }
func (f *fields) u64() uint64 { return binary.LittleEndian.Uint64(f.take(8)) }
func (f *fields) i32() int32  { return int32(f.u32()) }
func (f *fields) flag() bool  { return f.u8() != 0 }

func (f *fields) item() pg.OffsetNumber { return pg.OffsetNumber(f.u16()) }
func (f *fields) xid() pg.TransactionID { return pg.TransactionID(f.u32()) }
func (f *fields) oid() pg.OID           { return pg.OID(f.u32()) }
func (f *fields) lsn() pg.LSN           { return pg.LSN(f.u64()) }
func (f *fields) time() pg.TimestampTz  { return pg.TimestampTz(f.u64()) }

// multiOffset reads a MultiXactOffset, which has the size that v gives it and is aligned to it.
func (f *fields) multiOffset(v *pg.Version) pg.MultiXactOffset {
	if v.MultiOffsetSize == 8 {
		f.align()
		return pg.MultiXactOffset(f.u64())
	}
	return pg.MultiXactOffset(f.u32())
}

// pageNo reads the number of an SLRU's page, which has the size that v gives it. No SLRU
// that is kept has 2^32 pages.
func (f *fields) pageNo(v *pg.Version) uint32 {
	if v.SLRUPageNoSize == 4 {
		return f.u32()
	}
	n := f.u64()
	f.short = f.short || n>>32 != 0
	return uint32(n)
}

func (f *fields) locator() pg.RelFileLocator {
	return pg.RelFileLocator{SpcOID: f.oid(), DBOID: f.oid(), RelNumber: f.oid()}
}

// skip passes over padding.
func (f *fields) skip(n int) { f.take(n) }

// align passes to the next multiple of 8.
func (f *fields) align() {
	if n := pg.MaxAlign(f.off); n <= len(f.in) {
		f.off = n
	} else {
		f.off = len(f.in)
	}
}

// count reads an array's int32 length and makes sure that so many elements of size
// bytes each are there.
func (f *fields) count(size int) int { return f.room(f.i32(), size) }

func (f *fields) room(n int32, size int) int {
	if n < 0 || int64(n)*int64(size) > int64(len(f.in)-f.off) {
		f.short = true
		return 0
	}
	return int(n)
}

// The following read arrays of n elements; room or count gave n.
func (f *fields) xids(n int) XIDs          { return XIDs{f.array(n * sizeofXID)} }
func (f *fields) oids(n int) OIDs          { return OIDs{f.array(n * sizeofOID)} }
func (f *fields) locators(n int) Locators  { return Locators{f.array(n * sizeofLocator)} }
func (f *fields) msgs(n int) InvalMessages { return InvalMessages{f.array(n * sizeofInvalMessage)} }
func (f *fields) locks(n int) HeldLocks    { return HeldLocks{f.array(n * sizeofHeldLock)} }
func (f *fields) stats(n int, v *pg.Version) StatsItems {
	return StatsItems{f.array(n * v.StatsItemSize), v.StatsItemSize}
}

func (f *fields) array(n int) []byte {
	if b := f.take(n); !f.short {
		return b
	}
	return nil
}

// cstring reads up to and with the next zero byte, and gives what is before it.
func (f *fields) cstring() []byte {
	n := bytes.IndexByte(f.in[f.off:], 0)
	if n < 0 {
		f.short = true
		return nil
	}
	return f.take(n + 1)[:n]
}

// done is the verdict: name is the C struct that was read.
func (f *fields) done(name string) error {
	if f.short {
		return fmt.Errorf("%s does not fit into %d bytes: %w", name, len(f.in), ErrCorrupt)
	}
	return nil
}

// end is done for a struct that is all of its body. It is for bodies that another major
// version has longer or shorter, with other fields at the same places: its records must not
// be taken for this one's.
func (f *fields) end(name string) error {
	if !f.short && f.off < len(f.in) {
		return fmt.Errorf("%s is %d bytes, want %d: %w", name, len(f.in), f.off, ErrCorrupt)
	}
	return f.done(name)
}

func appendU32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
