package rmgrdesc

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// cstruct is the bytes of a C struct, known to be long enough for its fields.
type cstruct []byte

// view checks once that b holds a struct; the caller then reads fields by offset.
func view(b []byte, name string, size int) (cstruct, error) {
	if len(b) < size {
		return nil, fmt.Errorf("%s is %d bytes, want %d: %w", name, len(b), size, xlog.ErrCorrupt)
	}
	return cstruct(b), nil
}

func (s cstruct) u8(off int) uint8   { return s[off] }
func (s cstruct) u16(off int) uint16 { return binary.LittleEndian.Uint16(s[off:]) }
func (s cstruct) u32(off int) uint32 { return binary.LittleEndian.Uint32(s[off:]) }
func (s cstruct) i32(off int) int32  { return int32(s.u32(off)) }
func (s cstruct) u64(off int) uint64 { return binary.LittleEndian.Uint64(s[off:]) }

// blockID reads a BlockIdData: two halves, the upper one first.
func (s cstruct) blockID(off int) uint32 { return uint32(s.u16(off))<<16 | uint32(s.u16(off+2)) }

// node reads a RelFileNode.
func (s cstruct) node(off int) pg.RelFileLocator {
	return pg.RelFileLocator{SpcOID: pg.OID(s.u32(off)), DBOID: pg.OID(s.u32(off + 4)), RelNumber: pg.OID(s.u32(off + 8))}
}

// cstring gives the text up to the first NUL, or all of it.
func cstring(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}

// elements checks that a struct's array of n elements is there, and gives its bytes.
func elements(b []byte, name string, n int64, size int) (cstruct, error) {
	if n < 0 || n > int64(len(b)/size) {
		return nil, fmt.Errorf("%s has %d elements in %d bytes: %w", name, n, len(b), xlog.ErrCorrupt)
	}
	return cstruct(b[:n*int64(size)]), nil
}

// field reads what one verb of a format prints.
type field func(s cstruct) any

func u8(off int) field    { return func(s cstruct) any { return s.u8(off) } }
func u16(off int) field   { return func(s cstruct) any { return s.u16(off) } }
func u32(off int) field   { return func(s cstruct) any { return s.u32(off) } }
func i32(off int) field   { return func(s cstruct) any { return s.i32(off) } }
func i8(off int) field    { return func(s cstruct) any { return int8(s.u8(off)) } }
func lsn(off int) field   { return func(s cstruct) any { return pg.LSN(s.u64(off)) } }
func node(off int) field  { return func(s cstruct) any { return s.node(off) } }
func blkID(off int) field { return func(s cstruct) any { return s.blockID(off) } }

// fullXid prints a FullTransactionId as epoch:xid.
func fullXid(off int) field {
	return func(s cstruct) any { return fmt.Sprintf("%d:%d", s.u32(off+4), s.u32(off)) }
}

// choice prints one of two texts for a bool.
func choice(off int, yes, no string) field { return flag(off, 0xFF, yes, no) }

// flag prints one of two texts for a bit of a byte.
func flag(off int, bit uint8, yes, no string) field {
	return func(s cstruct) any {
		if s.u8(off)&bit != 0 {
			return yes
		}
		return no
	}
}

// pick gives one of two texts for a bool.
func pick(v bool, yes, no string) string {
	if v {
		return yes
	}
	return no
}

// letter gives T or F for a bool.
func letter(v bool) string { return pick(v, "T", "F") }

// fullXID is a FullTransactionId as epoch:xid.
func fullXID(x pg.FullTransactionID) string { return fmt.Sprintf("%d:%d", x.Epoch(), x.XID()) }

// fixed makes a description of a record whose main data begin with one C struct:
// each verb of the format prints one field.
func fixed(name string, size int, format string, fields ...field) descFunc {
	return func(w *writer, rec *xlog.Record) error { return w.fields(rec.MainData, name, size, format, fields) }
}

// fields prints a struct that lies at the beginning of b.
func (w *writer) fields(b []byte, name string, size int, format string, fields []field) error {
	s, err := view(b, name, size)
	if err != nil {
		return err
	}
	args := make([]any, len(fields))
	for i, f := range fields {
		args[i] = f(s)
	}
	w.printf(format, args...)
	return nil
}

// postgresEpoch is 2000-01-01 in Unix seconds, where TimestampTz counts from.
const postgresEpoch = 946684800

// timestamp writes a TimestampTz as the frontend's timestamptz_to_str does: the
// whole seconds in the zone, then the rest, which for times before 2000 is negative.
func (w *writer) timestamp(t int64) {
	sec := time.Unix(t/1e6+postgresEpoch, 0).In(w.zone)
	w.printf("%s.%06d %s", sec.Format("2006-01-02 15:04:05"), t%1e6, sec.Format("MST"))
}

// u32s writes the n numbers of an array, each with a space before it.
func (w *writer) u32s(b []byte, name string, n int64) error {
	list, err := elements(b, name, n, 4)
	if err != nil {
		return err
	}
	for off := 0; off < len(list); off += 4 {
		w.printf(" %d", list.u32(off))
	}
	return nil
}
