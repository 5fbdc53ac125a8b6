package fusefs

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/hanwen/go-fuse/v2/fs"
)

// stableAttr gives the identity of a path: the same for ever, in every mount. The
// number alone might be that of another path once in a very long while; go-fuse
// tells files apart by number and generation together, 127 bits.
func stableAttr(path string, mode uint32) fs.StableAttr {
	sum := sha256.Sum256([]byte(path))
	ino := binary.LittleEndian.Uint64(sum[:]) >> 1
	if ino < 16 {
		ino += 16
	}
	return fs.StableAttr{Mode: mode, Ino: ino, Gen: binary.LittleEndian.Uint64(sum[8:])}
}
