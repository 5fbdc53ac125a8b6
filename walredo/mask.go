package walredo

import "zenith/internal/pg"

// What all rm_mask functions are made of: access/common/bufmask.c. MASK_MARKER is 0.

// maskLSN is mask_page_lsn_and_checksum.
func maskLSN(page pg.Page) {
	page.SetLSN(0)
	page.SetChecksum(0)
}

// maskHints is mask_page_hint_bits.
func maskHints(page pg.Page) {
	page.SetPruneXid(0)
	page.SetFlags(page.Flags() &^ (pg.PDPageFull | pg.PDHasFreeLines | pg.PDAllVisible))
}

// maskUnused is mask_unused_space: the hole between pd_lower and pd_upper. A header
// that makes no sense is left for the comparison to find.
func maskUnused(page pg.Page) {
	lower, upper := int(page.Lower()), int(page.Upper())
	if lower >= pg.PageHeaderSize && lower <= upper && upper <= pg.BlockSize {
		clear(page[lower:upper])
	}
}

// maskLPFlags is mask_lp_flags: used line pointers count as unused.
func maskLPFlags(page pg.Page) {
	end := min(int(page.Lower()), pg.BlockSize)
	for at := pg.PageHeaderSize; at+pg.ItemIDSize <= end; at += pg.ItemIDSize {
		// lp_flags are bits 15 and 16 of the line pointer.
		page[at+1] &^= 0x80
		page[at+2] &^= 0x01
	}
}

// maskContent is mask_page_content: everything but the header's rest.
func maskContent(page pg.Page) {
	clear(page[pg.PageHeaderSize:])
	page.SetLower(0)
	page.SetUpper(0)
}
