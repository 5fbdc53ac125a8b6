package pageserver

import (
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"zenith/internal/api"
)

// rowShape says how the values of a struct type are rows: each field is a column that has the
// name of the field's json tag. A pointer is a column that may be NULL. The columns of an
// embedded struct stand among the others; where it is a nil pointer, all of them are NULL.
//
// The server writes rows by it. The client reads them by it: it finds the columns by their names,
// so that it gets along with a server that has more of them, or fewer.
type rowShape struct {
	cols   []column
	fields []rowField // of the cols
}

// rowField is where the value of a column is in the struct, and how it is read and written.
type rowField struct {
	index []int // see reflect.Value.FieldByIndex
	value valueKind
}

// rowOf gives the shape of R, which is a struct type.
func rowOf[R any]() *rowShape {
	s := &rowShape{}
	s.add(reflect.TypeFor[R](), nil)
	return s
}

func (s *rowShape) add(t reflect.Type, at []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(append([]int{}, at...), i)
		if f.Anonymous {
			s.add(deref(f.Type), index)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			panic(fmt.Sprintf("%v: field %s has no json tag", t, f.Name))
		}
		kind := valueKindOf(deref(f.Type))
		s.cols = append(s.cols, column{name, kind.typ})
		s.fields = append(s.fields, rowField{index, kind})
	}
}

// deref gives what a pointer type points to, and any other type itself.
func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// values gives the columns' values for row, a struct of the shape's type, as encodeValue takes them.
func (s *rowShape) values(row any) ([]any, error) {
	from := reflect.ValueOf(row)
	values := make([]any, len(s.fields))
	for i, f := range s.fields {
		v, err := from.FieldByIndexErr(f.index)
		if err != nil || v.Kind() == reflect.Pointer && v.IsNil() {
			continue // NULL
		}
		if values[i], err = f.value.get(reflect.Indirect(v)); err != nil {
			return nil, fmt.Errorf("column %s: %w", s.cols[i].name, err)
		}
	}
	return values, nil
}

// set reads the text of column i into row, which is a struct of the shape's type.
func (s *rowShape) set(row reflect.Value, i int, text []byte) error {
	if text == nil {
		return nil
	}
	for _, at := range s.fields[i].index {
		if row.Kind() == reflect.Pointer {
			row = allocate(row)
		}
		row = row.Field(at)
	}
	if row.Kind() == reflect.Pointer {
		row = allocate(row)
	}
	if err := s.fields[i].value.set(row, text); err != nil {
		return api.Errorf(api.ErrProtocol, "column %s: %v", s.cols[i].name, err)
	}
	return nil
}

// allocate gives what the pointer in v points to, which it makes if v is nil.
func allocate(v reflect.Value) reflect.Value {
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
	return v.Elem()
}

// valueKind is how a Go type is a column.
type valueKind struct {
	typ typeOID
	get func(v reflect.Value) (any, error)          // gives what encodeValue takes
	set func(into reflect.Value, text []byte) error // reads PostgreSQL's text format
}

// valueKindOf gives the kind for a Go type: by its type, else by its methods, else by its
// underlying type. What is none of those is JSON.
func valueKindOf(t reflect.Type) valueKind {
	if kind, ok := kindsByType[t]; ok {
		return kind
	}
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return textKind
	}
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
		return byteaKind
	}
	if kind, ok := kindsByKind[t.Kind()]; ok {
		return kind
	}
	return jsonKind
}

var kindsByType = map[reflect.Type]valueKind{
	reflect.TypeFor[time.Time](): {typeTimestampTZ,
		func(v reflect.Value) (any, error) { return v.Interface(), nil },
		func(into reflect.Value, text []byte) error {
			t, err := time.Parse(timeLayout, string(text))
			into.Set(reflect.ValueOf(t))
			return err
		}},
	reflect.TypeFor[time.Duration](): {typeInt8, // milliseconds
		func(v reflect.Value) (any, error) { return v.Int() / int64(time.Millisecond), nil },
		func(into reflect.Value, text []byte) error {
			n, err := strconv.ParseInt(string(text), 10, 64)
			into.SetInt(n * int64(time.Millisecond))
			return err
		}},
}

var kindsByKind = map[reflect.Kind]valueKind{
	reflect.String: {typeText,
		func(v reflect.Value) (any, error) { return v.String(), nil },
		func(into reflect.Value, text []byte) error { into.SetString(string(text)); return nil }},
	reflect.Bool: {typeBool,
		func(v reflect.Value) (any, error) { return v.Bool(), nil },
		func(into reflect.Value, text []byte) error { into.SetBool(string(text) == "t"); return nil }},
	reflect.Int:   {typeInt4, getInt, setInt}, // ports and other small numbers
	reflect.Int64: {typeInt8, getInt, setInt},
	reflect.Uint32: {typeInt4,
		func(v reflect.Value) (any, error) { return int64(v.Uint()), nil },
		func(into reflect.Value, text []byte) error {
			n, err := strconv.ParseUint(string(text), 10, 32)
			into.SetUint(n)
			return err
		}},
	reflect.Uint64: {typeText, // a system identifier: PostgreSQL, too, has it as text, for int8 is too small
		func(v reflect.Value) (any, error) { return strconv.FormatUint(v.Uint(), 10), nil },
		func(into reflect.Value, text []byte) error {
			n, err := strconv.ParseUint(string(text), 10, 64)
			into.SetUint(n)
			return err
		}},
}

func getInt(v reflect.Value) (any, error) { return v.Int(), nil }

func setInt(into reflect.Value, text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, into.Type().Bits())
	into.SetInt(n)
	return err
}

// textKind is for what has a text form of its own, as an LSN.
var textKind = valueKind{typeText,
	func(v reflect.Value) (any, error) {
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		return string(text), err
	},
	func(into reflect.Value, text []byte) error {
		return into.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText(text)
	}}

var byteaKind = valueKind{typeBytea,
	func(v reflect.Value) (any, error) { return v.Bytes(), nil },
	func(into reflect.Value, text []byte) error {
		digits, found := strings.CutPrefix(string(text), `\x`)
		if !found {
			return errors.New(`bytea does not begin with \x`)
		}
		b, err := hex.DecodeString(digits)
		into.SetBytes(b)
		return err
	}}

// jsonKind is for structs, lists and maps. A nil list is an empty one.
var jsonKind = valueKind{typeText,
	func(v reflect.Value) (any, error) {
		if v.Kind() == reflect.Slice && v.IsNil() {
			return "[]", nil
		}
		text, err := json.Marshal(v.Interface())
		return string(text), err
	},
	func(into reflect.Value, text []byte) error { return json.Unmarshal(text, into.Addr().Interface()) }}

// rowReader reads the rows of one reply.
type rowReader interface {
	// describe takes the names of the columns, before the first row.
	describe(names []string)
	// read takes one row.
	read(values [][]byte) error
}

// rowsOf gives each row of a reply to got.
type rowsOf[R any] struct {
	shape *rowShape
	got   func(R) error
	order []int // of each column of the reply: which one of the shape's it is; -1: none
}

func (r *rowsOf[R]) describe(names []string) {
	r.order = make([]int, len(names))
	for i, name := range names {
		r.order[i] = -1
		for j, col := range r.shape.cols {
			if col.name == name {
				r.order[i] = j
			}
		}
	}
}

func (r *rowsOf[R]) read(values [][]byte) error {
	if len(values) != len(r.order) {
		return api.Errorf(api.ErrProtocol, "row of %d columns, of which %d were described", len(values), len(r.order))
	}
	var row R
	into := reflect.ValueOf(&row).Elem()
	for i, text := range values {
		if r.order[i] < 0 {
			continue
		}
		if err := r.shape.set(into, r.order[i], text); err != nil {
			return err
		}
	}
	return r.got(row)
}
