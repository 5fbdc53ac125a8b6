package pageserver

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgproto3/v2"
)

// typeOID is the OID of a PostgreSQL type that a column has on the wire.
type typeOID uint32

// The types that replies use (catalog/pg_type.dat).
const (
	typeBool        typeOID = 16
	typeBytea       typeOID = 17
	typeName        typeOID = 19
	typeInt8        typeOID = 20
	typeInt4        typeOID = 23
	typeText        typeOID = 25
	typeOIDOID      typeOID = 26
	typeUnknown     typeOID = 705
	typeVarchar     typeOID = 1043
	typeTimestampTZ typeOID = 1184
)

var typeSizes = map[typeOID]int16{typeBool: 1, typeBytea: -1, typeInt8: 8, typeInt4: 4, typeText: -1, typeOIDOID: 4, typeTimestampTZ: 8}

// column is one column of a reply.
type column struct {
	name string
	typ  typeOID
}

// textColumns makes columns of type text.
func textColumns(names ...string) []column {
	cols := make([]column, len(names))
	for i, n := range names {
		cols[i] = column{n, typeText}
	}
	return cols
}

// The format codes of the protocol.
const (
	formatText   = 0
	formatBinary = 1
)

// formatOf gives the format of column i by the rule of Bind: none given means text,
// one is for all.
func formatOf(formats []int16, i int) int16 {
	switch {
	case len(formats) == 0:
		return formatText
	case len(formats) == 1:
		return formats[0]
	case i < len(formats):
		return formats[i]
	}
	return formatText
}

// rowDescription describes cols to the client.
func rowDescription(cols []column, formats []int16) *pgproto3.RowDescription {
	d := &pgproto3.RowDescription{Fields: make([]pgproto3.FieldDescription, len(cols))}
	for i, c := range cols {
		d.Fields[i] = pgproto3.FieldDescription{
			Name: []byte(c.name), DataTypeOID: uint32(c.typ), DataTypeSize: typeSizes[c.typ],
			TypeModifier: -1, Format: formatOf(formats, i),
		}
	}
	return d
}

// encodeValue writes v, whose Go type goes with the column's, for the wire: string for
// text, bool for bool, int64 for int4 and int8, []byte for bytea, time.Time for timestamptz; nil is NULL.
func encodeValue(v any, typ typeOID, format int16) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return append([]byte{}, v...), nil
	case bool:
		return encodeBool(v, format), nil
	case int64:
		return encodeInt(v, typ, format), nil
	case []byte:
		return encodeBytea(v, format), nil
	case time.Time:
		return encodeTime(v, format), nil
	}
	return nil, fmt.Errorf("encode a %T for the wire", v)
}

func encodeBool(v bool, format int16) []byte {
	switch {
	case format == formatText && v:
		return []byte("t")
	case format == formatText:
		return []byte("f")
	case v:
		return []byte{1}
	}
	return []byte{0}
}

func encodeInt(v int64, typ typeOID, format int16) []byte {
	switch {
	case format == formatText:
		return strconv.AppendInt(nil, v, 10)
	case typ == typeInt4:
		return binary.BigEndian.AppendUint32(nil, uint32(v))
	}
	return binary.BigEndian.AppendUint64(nil, uint64(v))
}

func encodeBytea(v []byte, format int16) []byte {
	if format == formatBinary {
		return append([]byte{}, v...)
	}
	return append([]byte(`\x`), hex.EncodeToString(v)...)
}

// timeLayout is what PostgreSQL prints for a timestamptz with DateStyle ISO, in UTC.
const timeLayout = "2006-01-02 15:04:05.999999-07"

// pgEpoch is the start of PostgreSQL's timestamps.
var pgEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func encodeTime(v time.Time, format int16) []byte {
	if format == formatBinary {
		return binary.BigEndian.AppendUint64(nil, uint64(v.Sub(pgEpoch).Microseconds()))
	}
	return v.UTC().AppendFormat(nil, timeLayout)
}
