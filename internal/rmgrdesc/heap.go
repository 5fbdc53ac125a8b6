package rmgrdesc

import (
	"strings"

	"zenith/internal/xlog"
)

// heapDescs are heap_desc.
var heapDescs = descs{
	0x0: heapInsert,
	0x1: heapDelete,
	0x2: heapUpdate,
	0x3: heapTruncate,
	0x4: heapUpdate,
	0x5: heapConfirm,
	0x6: heapLock,
	0x7: heapInplace,
}

func heapInsert(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapInsert(rec)
	return w.text(err, "off %d flags 0x%02X", x.Off, x.Flags)
}

func heapDelete(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapDelete(rec)
	return w.text(err, "off %d flags 0x%02X %s", x.Off, x.Flags, infobits(x.Infobits))
}

func heapUpdate(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapUpdate(rec)
	return w.text(err, "off %d xmax %d flags 0x%02X %s; new off %d xmax %d",
		x.OldOff, x.OldXmax, x.Flags, infobits(x.OldInfobits), x.NewOff, x.NewXmax)
}

func heapTruncate(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapTruncate(rec)
	if err != nil {
		return err
	}
	if x.Flags&xlog.HeapTruncateCascade != 0 {
		w.WriteString("cascade ")
	}
	if x.Flags&xlog.HeapTruncateRestartSeqs != 0 {
		w.WriteString("restart_seqs ")
	}
	w.printf("nrelids %d relids", x.RelIDs.Len())
	for i := range x.RelIDs.Len() {
		w.printf(" %d", x.RelIDs.At(i))
	}
	return nil
}

func heapConfirm(w *writer, rec *xlog.Record) error {
	off, err := xlog.ParseHeapConfirm(rec)
	return w.text(err, "off %d", off)
}

func heapLock(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapDelete(rec)
	return w.text(err, "off %d: xid %d: flags 0x%02X %s", x.Off, x.Xmax, x.Flags, infobits(x.Infobits))
}

func heapInplace(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHeapInplace(rec)
	return w.text(err, "off %d", x.Off)
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

func infobits(bits uint8) string {
	var b strings.Builder
	for _, i := range heapInfobits {
		if bits&i.bit != 0 {
			b.WriteString(i.text)
		}
	}
	return b.String()
}
