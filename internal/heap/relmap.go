package heap

import (
	"encoding/binary"
	"fmt"

	"zenith/internal/pg"
)

// Mapped gives the number of the storage of a mapped catalog, from the contents of a pg_filenode.map
// (utils/cache/relmapper.c: a magic number, a count, and pairs of an OID and a number); 0 if it is not in the map.
func Mapped(relMap []byte, relation pg.OID) (pg.OID, error) {
	const header, pair = 8, 8
	if len(relMap) < header {
		return 0, fmt.Errorf("a map of %d bytes: %w", len(relMap), pg.ErrCorrupt)
	}
	n := binary.LittleEndian.Uint32(relMap[4:])
	for m := relMap[header:]; n > 0 && len(m) >= pair; n, m = n-1, m[pair:] {
		if pg.OID(binary.LittleEndian.Uint32(m)) == relation {
			return pg.OID(binary.LittleEndian.Uint32(m[4:])), nil
		}
	}
	return 0, nil
}
