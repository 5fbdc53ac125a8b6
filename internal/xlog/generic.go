package xlog

// GenericRegion is a piece of the difference between two pages: what a Generic record has,
// one behind the other, as the data of each of its blocks (access/generic_xlog.c).
type GenericRegion struct {
	Offset int // on the page
	Bytes  []byte
}

// CutGenericRegion takes a piece off the front of b.
func CutGenericRegion(b []byte) (r GenericRegion, rest []byte, err error) {
	const header = 4 // offset u16, length u16
	s, err := structOf(b, "piece of a page difference", header)
	if err != nil {
		return r, nil, err
	}
	end := header + int(s.u16(2))
	if s, err = structOf(b, "piece of a page difference", end); err != nil {
		return r, nil, err
	}
	return GenericRegion{Offset: int(s.u16(0)), Bytes: s[header:end]}, s[end:], nil
}
