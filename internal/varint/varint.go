// Package varint reads what encoding/binary's AppendUvarint and AppendVarint wrote, number by number.
package varint

import "encoding/binary"

// Reader takes numbers and bytes off the front of Rest. When some are missing it sets Bad, and gives zeros from there on.
type Reader struct {
	Rest []byte
	Bad  bool
}

// fail has the reader give zeros from here on.
func (r *Reader) fail() { r.Rest, r.Bad = nil, true }

// Byte takes one byte.
func (r *Reader) Byte() byte {
	if len(r.Rest) == 0 {
		r.fail()
		return 0
	}
	v := r.Rest[0]
	r.Rest = r.Rest[1:]
	return v
}

// Uint takes an unsigned number.
func (r *Reader) Uint() uint64 {
	v, n := binary.Uvarint(r.Rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.Rest = r.Rest[n:]
	return v
}

// Int takes a signed number.
func (r *Reader) Int() int64 {
	v, n := binary.Varint(r.Rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.Rest = r.Rest[n:]
	return v
}

// Bytes takes n bytes, which stay part of what Rest was.
func (r *Reader) Bytes(n int) []byte {
	if n < 0 || n > len(r.Rest) {
		r.fail()
		return nil
	}
	v := r.Rest[:n:n]
	r.Rest = r.Rest[n:]
	return v
}

// Count takes the number of things that follow, each of which takes size bytes at least: no more than there is room for.
func (r *Reader) Count(size int) int {
	n := r.Uint()
	if n > uint64(len(r.Rest)/size) {
		r.fail()
		return 0
	}
	return int(n)
}
