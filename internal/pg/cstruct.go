package pg

import "encoding/binary"

// cstruct moves members of a C struct between its bytes and Go: out of the bytes, or, if
// store is set, into them. So each struct's members are listed once, for both directions.
// The caller has made sure that the struct is as long as the members' offsets need.
type cstruct struct {
	b     []byte
	store bool
}

func (s cstruct) u64(off int, v *uint64) {
	if s.store {
		binary.LittleEndian.PutUint64(s.b[off:], *v)
	} else {
		*v = binary.LittleEndian.Uint64(s.b[off:])
	}
}

func (s cstruct) u32(off int, v *uint32) {
	if s.store {
		binary.LittleEndian.PutUint32(s.b[off:], *v)
	} else {
		*v = binary.LittleEndian.Uint32(s.b[off:])
	}
}

func (s cstruct) i64(off int, v *int64) {
	u := uint64(*v)
	s.u64(off, &u)
	*v = int64(u)
}

func (s cstruct) i32(off int, v *int32) {
	u := uint32(*v)
	s.u32(off, &u)
	*v = int32(u)
}

func (s cstruct) flag(off int, v *bool) {
	switch {
	case !s.store:
		*v = s.b[off] != 0
	case *v:
		s.b[off] = 1
	default:
		s.b[off] = 0
	}
}

// bytes moves a member of len(v) bytes.
func (s cstruct) bytes(off int, v []byte) {
	if s.store {
		copy(s.b[off:], v)
	} else {
		copy(v, s.b[off:])
	}
}

// multiOffset moves a MultiXactOffset of 4 or 8 bytes.
func (s cstruct) multiOffset(off, size int, v *MultiXactOffset) {
	if size == 8 {
		s.u64(off, (*uint64)(v))
		return
	}
	u := uint32(*v)
	s.u32(off, &u)
	if !s.store { // else *v may be larger than what was stored of it
		*v = MultiXactOffset(u)
	}
}

func (s cstruct) lsn(off int, v *LSN)           { s.u64(off, (*uint64)(v)) }
func (s cstruct) tli(off int, v *TLI)           { s.u32(off, (*uint32)(v)) }
func (s cstruct) oid(off int, v *OID)           { s.u32(off, (*uint32)(v)) }
func (s cstruct) xid(off int, v *TransactionID) { s.u32(off, (*uint32)(v)) }
func (s cstruct) multi(off int, v *MultiXactID) { s.u32(off, (*uint32)(v)) }
