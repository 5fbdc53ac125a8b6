package xlog

import (
	"bytes"
	"fmt"

	"zenith/internal/pg"
)

// LogicalMessage is xl_logical_message.
type LogicalMessage struct {
	DBOID         pg.OID
	Transactional bool
	Prefix        []byte
	Message       []byte
}

// ParseLogicalMessage reads the body of LogicalMessage's one operation, MESSAGE
// (replication/message.h).
func ParseLogicalMessage(rec *Record) (LogicalMessage, error) {
	const header = 24
	s, err := structOf(rec.MainData, "xl_logical_message", header)
	if err != nil {
		return LogicalMessage{}, err
	}
	body := s[header:]
	prefix, size := s.u64(8), s.u64(16)
	if n := uint64(len(body)); prefix > n || size > n-prefix {
		return LogicalMessage{}, fmt.Errorf("xl_logical_message wants %d and %d of %d bytes: %w", prefix, size, n, ErrCorrupt)
	}
	m := LogicalMessage{DBOID: s.oid(0), Transactional: s.flag(4), Message: body[prefix : prefix+size]}
	m.Prefix, _, _ = bytes.Cut(body[:prefix], []byte{0})
	return m, nil
}
