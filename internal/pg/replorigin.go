package pg

import (
	"encoding/binary"
	"fmt"
)

// ReplOriginPath is the file of replication/origin.c that holds them.
const ReplOriginPath = "pg_logical/replorigin_checkpoint"

const (
	replOriginMagic = 0x1257DADE // REPLICATION_STATE_MAGIC
	replOriginSize  = 16         // sizeof(ReplicationStateOnDisk)
)

// ReplOrigin is how far the changes of a replication origin have been applied.
type ReplOrigin struct {
	Node      uint16
	RemoteLSN LSN
}

// EncodeReplOrigins gives the file as CheckPointReplicationOrigin writes it:
//
//	magic u32 | (node u16 | 6 pad | remote_lsn u64)... | crc u32
func EncodeReplOrigins(origins []ReplOrigin) []byte {
	b := binary.LittleEndian.AppendUint32(nil, replOriginMagic)
	for _, o := range origins {
		b = binary.LittleEndian.AppendUint64(b, uint64(o.Node))
		b = binary.LittleEndian.AppendUint64(b, uint64(o.RemoteLSN))
	}
	return binary.LittleEndian.AppendUint32(b, CRC32C(b))
}

// ParseReplOrigins reads it, as StartupReplicationOrigin does.
func ParseReplOrigins(b []byte) ([]ReplOrigin, error) {
	n := len(b) - 8
	if n < 0 || n%replOriginSize != 0 || binary.LittleEndian.Uint32(b) != replOriginMagic {
		return nil, fmt.Errorf("%s of %d bytes: %w", ReplOriginPath, len(b), ErrCorrupt)
	}
	if stored, want := binary.LittleEndian.Uint32(b[4+n:]), CRC32C(b[:4+n]); stored != want {
		return nil, fmt.Errorf("%s: checksum is %08X, should be %08X: %w", ReplOriginPath, stored, want, ErrCorrupt)
	}
	var origins []ReplOrigin
	for b = b[4 : 4+n]; len(b) > 0; b = b[replOriginSize:] {
		origins = append(origins, ReplOrigin{
			Node:      binary.LittleEndian.Uint16(b),
			RemoteLSN: LSN(binary.LittleEndian.Uint64(b[8:])),
		})
	}
	return origins, nil
}
