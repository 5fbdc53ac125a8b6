package pg

import "encoding/binary"

// The sums of storage/checksum_impl.h start at these values, so that each of the 32
// columns mixes differently.
var checksumBase = [32]uint32{
	0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
	0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
	0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
	0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
}

// Checksum is pg_checksum_page: the checksum that the page must carry as block blkno
// of its fork. The checksum that it carries now does not matter. A new page (IsNew)
// carries none: do not ask.
func Checksum(page Page, blkno BlockNumber) uint16 {
	page = page[:BlockSize]
	var sum uint32
	for col := 0; col < 32; col += 4 {
		sum ^= checksumColumns(page, col)
	}
	return uint16((sum^uint32(blkno))%65535 + 1)
}

// checksumColumns sums four neighbouring columns of the page seen as 64 rows of 32
// words: as many as keep the multiplier busy without spilling registers.
func checksumColumns(page Page, col int) uint32 {
	a, b, c, d := checksumBase[col], checksumBase[col+1], checksumBase[col+2], checksumBase[col+3]
	for off := col * 4; off+16 <= BlockSize; off += 128 {
		row := page[off : off+16 : off+16]
		v := binary.LittleEndian.Uint32(row[8:])
		if off == 0 {
			v &= 0xFFFF0000 // pd_checksum counts as zero
		}
		a = checksumMix(a, binary.LittleEndian.Uint32(row))
		b = checksumMix(b, binary.LittleEndian.Uint32(row[4:]))
		c = checksumMix(c, v)
		d = checksumMix(d, binary.LittleEndian.Uint32(row[12:]))
	}
	for range 2 {
		a, b, c, d = checksumMix(a, 0), checksumMix(b, 0), checksumMix(c, 0), checksumMix(d, 0)
	}
	return a ^ b ^ c ^ d
}

// checksumMix is CHECKSUM_COMP, a round of a changed FNV-1a.
func checksumMix(sum, v uint32) uint32 {
	sum ^= v
	return sum*16777619 ^ sum>>17
}

// SetChecksumInplace is PageSetChecksumInplace for a cluster with data checksums: a
// new page stays without.
func (p Page) SetChecksumInplace(blkno BlockNumber) {
	if !p.IsNew() {
		p.SetChecksum(Checksum(p, blkno))
	}
}
