package heap

import (
	"bytes"
	"encoding/binary"

	"zenith/internal/pg"
)

// Columns are the columns of a row, behind its header and null bitmap, as they lie on the page.
type Columns []byte

// NameSize is NAMEDATALEN, the size of a column of type name.
const NameSize = 64

// OID is the column of type oid at an offset.
func (c Columns) OID(off int) pg.OID { return pg.OID(binary.LittleEndian.Uint32(c[off:])) }

// Int32 is the column of type int4 at an offset.
func (c Columns) Int32(off int) int32 { return int32(binary.LittleEndian.Uint32(c[off:])) }

// Name is the column of type name at an offset.
func (c Columns) Name(off int) string {
	name, _, _ := bytes.Cut(c[off:off+NameSize], []byte{0})
	return string(name)
}
