package rmgrdesc

import (
	"fmt"

	"zenith/internal/xlog"
)

// logicalMsgRmgr is logicalmsg_desc.
var logicalMsgRmgr = rmgr{
	name:     "LogicalMessage",
	idMask:   0xF0,
	descMask: 0xF0,
	ops:      map[uint8]op{0x00: {"MESSAGE", logicalMessage}},
}

func logicalMessage(w *writer, rec *xlog.Record) error {
	const header = 24
	s, err := view(rec.MainData, "xl_logical_message", header)
	if err != nil {
		return err
	}
	prefixSize, messageSize := s.u64(8), s.u64(16)
	body := s[header:]
	if prefixSize > uint64(len(body)) || messageSize > uint64(len(body))-prefixSize {
		return fmt.Errorf("xl_logical_message wants %d and %d of %d bytes: %w", prefixSize, messageSize, len(body), xlog.ErrCorrupt)
	}
	kind := "non-transactional"
	if s.u8(4) != 0 {
		kind = "transactional"
	}
	w.printf("%s, prefix \"%s\"; payload (%d bytes): % X",
		kind, cstring(body[:prefixSize]), messageSize, []byte(body[prefixSize:prefixSize+messageSize]))
	return nil
}
