package xlog

import "fmt"

// pglzDecompress is pglz_decompress of common/pg_lzcompress.c with check_complete: src
// must fill dst exactly and be used up.
//
// A control byte announces eight items, lowest bit first: 0 is a literal byte, 1 a
// match of two or three bytes (four bits of length less 3, twelve bits of distance; a
// length of 18 is continued in the third byte).
func pglzDecompress(dst, src []byte) error {
	d, s := 0, 0
	for s < len(src) && d < len(dst) {
		ctrl := src[s]
		s++
		for bit := 0; bit < 8 && s < len(src) && d < len(dst); bit, ctrl = bit+1, ctrl>>1 {
			if ctrl&1 == 0 {
				dst[d] = src[s]
				d, s = d+1, s+1
				continue
			}
			if s+2 > len(src) {
				return errPGLZ(d, s)
			}
			length, dist := int(src[s]&0x0F)+3, int(src[s]&0xF0)<<4|int(src[s+1])
			s += 2
			if length == 18 {
				if s >= len(src) {
					return errPGLZ(d, s)
				}
				length += int(src[s])
				s++
			}
			if dist == 0 || dist > d {
				return errPGLZ(d, s)
			}
			d += copyMatch(dst[d-dist:], dist, length)
		}
	}
	if d != len(dst) || s != len(src) {
		return errPGLZ(d, s)
	}
	return nil
}

// copyMatch repeats the first dist bytes of b behind themselves for length bytes, or
// as many as b holds, and returns how many.
func copyMatch(b []byte, dist, length int) int {
	length = min(length, len(b)-dist)
	for done := 0; done < length; {
		// What is there already doubles with each round, while its period stays dist.
		done += copy(b[dist+done:dist+length], b[:dist+done])
	}
	return length
}

func errPGLZ(d, s int) error {
	return fmt.Errorf("pglz data are damaged at byte %d, output %d: %w", s, d, ErrCorrupt)
}
