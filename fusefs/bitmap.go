package fusefs

import "math/bits"

// bitmap is a set of block numbers below a bound.
type bitmap []uint64

func newBitmap(n int64) bitmap { return make(bitmap, (n+63)/64) }

func (m bitmap) has(i int64) bool { return m[i/64]&(1<<(i%64)) != 0 }

func (m bitmap) set(i int64) { m[i/64] |= 1 << (i % 64) }

// countBelow counts the members below n.
func (m bitmap) countBelow(n int64) int64 {
	var c int
	for w := range m[:n/64] {
		c += bits.OnesCount64(m[w])
	}
	if n%64 != 0 {
		c += bits.OnesCount64(m[n/64] & (1<<(n%64) - 1))
	}
	return int64(c)
}
