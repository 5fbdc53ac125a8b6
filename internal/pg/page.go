package pg

import "encoding/binary"

// Sizes of storage/bufpage.h and pg_config.h.
const (
	BlockSize      = 8192
	RelSegBlocks   = 131072 // blocks in a 1 GiB segment (RELSEG_SIZE)
	PageHeaderSize = 24     // SizeOfPageHeaderData
	ItemIDSize     = 4
	pageVersion    = 4 // PG_PAGE_LAYOUT_VERSION
)

// Bits of pd_flags.
const (
	PDHasFreeLines = 0x0001
	PDPageFull     = 0x0002
	PDAllVisible   = 0x0004
)

// Page is one block, BlockSize bytes long, in PostgreSQL's format: see
// storage/bufpage.h. Offsets into it are as there, little endian.
type Page []byte

// LSN is PageGetLSN: the upper half is stored first.
func (p Page) LSN() LSN {
	return LSN(binary.LittleEndian.Uint32(p))<<32 | LSN(binary.LittleEndian.Uint32(p[4:]))
}

// SetLSN is PageSetLSN.
func (p Page) SetLSN(l LSN) {
	binary.LittleEndian.PutUint32(p, uint32(l>>32))
	binary.LittleEndian.PutUint32(p[4:], uint32(l))
}

func (p Page) u16(off int) uint16       { return binary.LittleEndian.Uint16(p[off:]) }
func (p Page) setU16(off int, v uint16) { binary.LittleEndian.PutUint16(p[off:], v) }

// The header's fields.
func (p Page) Checksum() uint16     { return p.u16(8) }
func (p Page) SetChecksum(v uint16) { p.setU16(8, v) }
func (p Page) Flags() uint16        { return p.u16(10) }
func (p Page) SetFlags(v uint16)    { p.setU16(10, v) }
func (p Page) Lower() uint16        { return p.u16(12) }
func (p Page) SetLower(v uint16)    { p.setU16(12, v) }
func (p Page) Upper() uint16        { return p.u16(14) }
func (p Page) SetUpper(v uint16)    { p.setU16(14, v) }
func (p Page) Special() uint16      { return p.u16(16) }
func (p Page) SetSpecial(v uint16)  { p.setU16(16, v) }

// PruneXid is pd_prune_xid.
func (p Page) PruneXid() TransactionID { return TransactionID(binary.LittleEndian.Uint32(p[20:])) }

// SetPruneXid stores pd_prune_xid unconditionally; see PageSetPrunable for the rule.
func (p Page) SetPruneXid(x TransactionID) { binary.LittleEndian.PutUint32(p[20:], uint32(x)) }

// IsNew is PageIsNew: a page that was never initialised has pd_upper zero.
func (p Page) IsNew() bool { return p.Upper() == 0 }

// Init is PageInit: zero the page and lay out an empty one with a special area of
// specialSize bytes.
func (p Page) Init(specialSize int) {
	clear(p[:BlockSize])
	special := BlockSize - MaxAlign(specialSize)
	p.SetLower(PageHeaderSize)
	p.SetUpper(uint16(special))
	p.SetSpecial(uint16(special))
	p.setU16(18, BlockSize|pageVersion)
}

// MaxAlign is MAXALIGN: the next multiple of 8.
func MaxAlign(n int) int { return (n + 7) &^ 7 }
