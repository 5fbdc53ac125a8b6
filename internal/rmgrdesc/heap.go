package rmgrdesc

import (
	"strings"

	"zenith/internal/xlog"
)

// heapDescs are heap_desc. Bit 0x80 is XLOG_HEAP_INIT_PAGE.
var heapDescs = descs{
	0x0: fixed("xl_heap_insert", 3, "off %d flags 0x%02X", u16(0), u8(2)),
	0x1: fixed("xl_heap_delete", 8, "off %d flags 0x%02X %s", u16(4), u8(7), infobits(6)),
	0x2: heapUpdate,
	0x3: heapTruncate,
	0x4: heapUpdate,
	0x5: fixed("xl_heap_confirm", 2, "off %d", u16(0)),
	0x6: fixed("xl_heap_lock", 8, "off %d: xid %d: flags 0x%02X %s", u16(4), u32(0), u8(7), infobits(6)),
	0x7: fixed("xl_heap_inplace", 2, "off %d", u16(0)),
}

// heapInfobits are the XLHL_ bits, in the order in which they are printed.
var heapInfobits = []struct {
	bit  uint8
	text string
}{
	{0x01, "IS_MULTI "},
	{0x02, "LOCK_ONLY "},
	{0x04, "EXCL_LOCK "},
	{0x08, "KEYSHR_LOCK "},
	{0x10, "KEYS_UPDATED "},
}

func infobits(off int) field {
	return func(s cstruct) any {
		var b strings.Builder
		for _, bit := range heapInfobits {
			if s.u8(off)&bit.bit != 0 {
				b.WriteString(bit.text)
			}
		}
		return b.String()
	}
}

func heapUpdate(w *writer, rec *xlog.Record) error {
	return w.fields(rec.MainData, "xl_heap_update", 14, "off %d xmax %d flags 0x%02X %s; new off %d xmax %d",
		[]field{u16(4), u32(0), u8(7), infobits(6), u16(12), u32(8)})
}

func heapTruncate(w *writer, rec *xlog.Record) error {
	const header = 12
	s, err := view(rec.MainData, "xl_heap_truncate", header)
	if err != nil {
		return err
	}
	if s.u8(8)&0x01 != 0 { // XLH_TRUNCATE_CASCADE
		w.WriteString("cascade ")
	}
	if s.u8(8)&0x02 != 0 { // XLH_TRUNCATE_RESTART_SEQS
		w.WriteString("restart_seqs ")
	}
	w.printf("nrelids %d relids", s.u32(4))
	return w.u32s(s[header:], "xl_heap_truncate", int64(s.u32(4)))
}

// u32s writes the n numbers of an array, each with a space before it.
func (w *writer) u32s(b []byte, name string, n int64) error {
	list, err := elements(b, name, n, 4)
	if err != nil {
		return err
	}
	for off := 0; off < len(list); off += 4 {
		w.printf(" %d", list.u32(off))
	}
	return nil
}
