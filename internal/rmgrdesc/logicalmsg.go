package rmgrdesc

import (
	"fmt"

	"zenith/internal/xlog"
)

// logicalMsgDescs are logicalmsg_desc.
var logicalMsgDescs = descs{0x0: logicalMessage}

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
