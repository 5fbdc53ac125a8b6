package xlog

import (
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

func (f *fields) xid() pg.TransactionID { return pg.TransactionID(f.u32()) }
func (f *fields) oid() pg.OID           { return pg.OID(f.u32()) }
func (f *fields) lsn() pg.LSN           { return pg.LSN(f.u64()) }
func (f *fields) time() pg.TimestampTz  { return pg.TimestampTz(f.u64()) }
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

// xids reads n transaction ids; nil for none.
func (f *fields) xids(n int) []pg.TransactionID {
	if n == 0 {
		return nil
	}
	out := make([]pg.TransactionID, n)
	for i := range out {
		out[i] = f.xid()
	}
	return out
}

// locators reads n relation names; nil for none.
func (f *fields) locators(n int) []pg.RelFileLocator {
	if n == 0 {
		return nil
	}
	out := make([]pg.RelFileLocator, n)
	for i := range out {
		out[i] = f.locator()
	}
	return out
}

// cstring reads up to and with the next zero byte.
func (f *fields) cstring() string {
	for i := f.off; i < len(f.in); i++ {
		if f.in[i] == 0 {
			s := string(f.in[f.off:i])
			f.off = i + 1
			return s
		}
	}
	f.short = true
	return ""
}

// done is the verdict: name is the C struct that was read.
func (f *fields) done(name string) error {
	if f.short {
		return fmt.Errorf("%s does not fit into %d bytes: %w", name, len(f.in), ErrCorrupt)
	}
	return nil
}

func appendU32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
