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
	var sum uint32
	for col := 0; col < 32; col += 8 {
		sum ^= checksumColumns(page[:BlockSize], col)
	}
	return uint16((sum^uint32(blkno))%65535 + 1)
}

// checksumColumns sums eight neighbouring columns of the page seen as 64 rows of 32
// words: enough to keep the multiplier busy, few enough for the registers.
func checksumColumns(page []byte, col int) uint32 {
	base := (*[8]uint32)(checksumBase[col:])
	s0, s1, s2, s3, s4, s5, s6, s7 := base[0], base[1], base[2], base[3], base[4], base[5], base[6], base[7]
	mask := ^uint32(0)
	if col == 0 {
		mask = 0xFFFF0000 // pd_checksum, in the first row, counts as zero
	}
	for page = page[col*4:]; len(page) >= 32; page = page[min(128, len(page)):] {
		row := (*[32]byte)(page)
		s0 = checksumMix(s0, binary.LittleEndian.Uint32(row[0:4]))
		s1 = checksumMix(s1, binary.LittleEndian.Uint32(row[4:8]))
		s2 = checksumMix(s2, binary.LittleEndian.Uint32(row[8:12])&mask)
		s3 = checksumMix(s3, binary.LittleEndian.Uint32(row[12:16]))
		s4 = checksumMix(s4, binary.LittleEndian.Uint32(row[16:20]))
		s5 = checksumMix(s5, binary.LittleEndian.Uint32(row[20:24]))
		s6 = checksumMix(s6, binary.LittleEndian.Uint32(row[24:28]))
		s7 = checksumMix(s7, binary.LittleEndian.Uint32(row[28:32]))
		mask = ^uint32(0)
	}
	for range 2 {
		s0, s1, s2, s3 = checksumMix(s0, 0), checksumMix(s1, 0), checksumMix(s2, 0), checksumMix(s3, 0)
		s4, s5, s6, s7 = checksumMix(s4, 0), checksumMix(s5, 0), checksumMix(s6, 0), checksumMix(s7, 0)
	}
	return s0 ^ s1 ^ s2 ^ s3 ^ s4 ^ s5 ^ s6 ^ s7
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
