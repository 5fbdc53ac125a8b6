package repo

import (
	"bytes"
	"encoding/binary"

	"zenith/internal/pg"
)

// kind is the first byte of a key. Rows come before versions.
type kind byte

const (
	kindFormat   kind = 0x01 // one key: the version of the layout
	kindTimeline kind = 0x02 // [no 4]: a timelineRow
	kindFlushed  kind = 0x03 // [no 4]: a flushedRow
	kindHorizon  kind = 0x04 // [no 4]: a horizonRow
	kindLease    kind = 0x05 // [no 4, LSN 8]: a leaseRow
	kindTag      kind = 0x06 // [name ...]: a tagRow
	kindIndexed  kind = 0x07 // [no 4]: an indexedRow
	kindSpace    kind = 0x08 // [no 4]: a spaceRow
	kindState    kind = 0x10 // object: the kind alone
	kindDatabase kind = 0x20 // object: spc, db
	kindFile     kind = 0x30 // object: path, NUL
	kindRelSize  kind = 0x40 // object: spc, db, rel, fork
	kindPage     kind = 0x50 // object: spc, db, rel, fork, block
	kindForeign  kind = 0x60 // object: spc, db, rel, fork, block
	kindCommits  kind = 0x70 // object: the kind alone
	kindRunning  kind = 0x71 // object: the kind alone
)

// timelineNo is the number of a timeline in its repository. Timelines are numbered as they are
// created, so a timeline's number is above those of its ancestors.
type timelineNo uint32

const (
	versionSize = 4 + 8 // ^timelineNo, ^LSN
	relForkSize = 4 + 4 + 4 + 1
	pageKeySize = 1 + relForkSize + 4
	maxLSN      = ^pg.LSN(0)
)

func appendDB(b []byte, k kind, spc, db pg.OID) []byte {
	b = append(b, byte(k))
	b = binary.BigEndian.AppendUint32(b, uint32(spc))
	return binary.BigEndian.AppendUint32(b, uint32(db))
}

func appendRelFork(b []byte, k kind, rf pg.RelFork) []byte {
	b = appendDB(b, k, rf.SpcOID, rf.DBOID)
	b = binary.BigEndian.AppendUint32(b, uint32(rf.RelNumber))
	return append(b, byte(rf.Fork))
}

func appendPage(b []byte, tag pg.BufferTag) []byte {
	b = appendRelFork(b, kindPage, tag.RelFork)
	return binary.BigEndian.AppendUint32(b, uint32(tag.Block))
}

func appendFile(b []byte, path string) []byte {
	b = append(b, byte(kindFile))
	b = append(b, path...)
	return append(b, 0)
}

func appendState(b []byte) []byte { return append(b, byte(kindState)) }

// appendVersion completes an object's key. Newer versions sort first, and younger
// timelines before older ones.
func appendVersion(b []byte, no timelineNo, lsn pg.LSN) []byte {
	b = binary.BigEndian.AppendUint32(b, ^uint32(no))
	return binary.BigEndian.AppendUint64(b, ^uint64(lsn))
}

// splitVersion undoes appendVersion.
func splitVersion(key []byte) (object []byte, no timelineNo, lsn pg.LSN, ok bool) {
	n := len(key) - versionSize
	if n < 1 {
		return nil, 0, 0, false
	}
	no = timelineNo(^binary.BigEndian.Uint32(key[n:]))
	lsn = pg.LSN(^binary.BigEndian.Uint64(key[n+4:]))
	return key[:n], no, lsn, true
}

func parseDB(object []byte) (spc, db pg.OID, ok bool) {
	if len(object) < 9 {
		return 0, 0, false
	}
	return pg.OID(binary.BigEndian.Uint32(object[1:])), pg.OID(binary.BigEndian.Uint32(object[5:])), true
}

func parseRelFork(object []byte) (rf pg.RelFork, ok bool) {
	if len(object) < 1+relForkSize {
		return rf, false
	}
	rf.SpcOID, rf.DBOID, _ = parseDB(object)
	rf.RelNumber = pg.OID(binary.BigEndian.Uint32(object[9:]))
	rf.Fork = pg.ForkNumber(object[13])
	return rf, true
}

func parsePage(object []byte) (tag pg.BufferTag, ok bool) {
	if len(object) != pageKeySize {
		return tag, false
	}
	tag.RelFork, _ = parseRelFork(object)
	tag.Block = pg.BlockNumber(binary.BigEndian.Uint32(object[14:]))
	return tag, true
}

func parseFile(object []byte) (path string, ok bool) {
	if len(object) < 2 || object[len(object)-1] != 0 {
		return "", false
	}
	return string(object[1 : len(object)-1]), true
}

func timelineKey(k kind, no timelineNo) []byte {
	return binary.BigEndian.AppendUint32([]byte{byte(k)}, uint32(no))
}

func parseTimelineKey(key []byte) (timelineNo, bool) {
	if len(key) != 5 {
		return 0, false
	}
	return timelineNo(binary.BigEndian.Uint32(key[1:])), true
}

func leaseKey(no timelineNo, lsn pg.LSN) []byte {
	return binary.BigEndian.AppendUint64(timelineKey(kindLease, no), uint64(lsn))
}

func tagKey(name string) []byte { return append([]byte{byte(kindTag)}, name...) }

func parseLeaseKey(key []byte) (no timelineNo, lsn pg.LSN, ok bool) {
	if len(key) != 1+4+8 {
		return 0, 0, false
	}
	return timelineNo(binary.BigEndian.Uint32(key[1:])), pg.LSN(binary.BigEndian.Uint64(key[5:])), true
}

// after is the least key above all keys that begin with object. Not all bytes of object are 0xFF.
func after(object []byte) []byte {
	b := bytes.Clone(object)
	for i := len(b) - 1; i >= 0; i-- {
		b[i]++
		if b[i] != 0 {
			return b[:i+1]
		}
	}
	return nil
}

// compareTags orders tags as their keys are ordered.
func compareTags(a, b pg.BufferTag) int {
	if c := compareRelForks(a.RelFork, b.RelFork); c != 0 {
		return c
	}
	return compareUint32(uint32(a.Block), uint32(b.Block))
}

func compareRelForks(a, b pg.RelFork) int {
	for _, p := range [...][2]pg.OID{{a.SpcOID, b.SpcOID}, {a.DBOID, b.DBOID}, {a.RelNumber, b.RelNumber}, {pg.OID(a.Fork), pg.OID(b.Fork)}} {
		if c := compareUint32(uint32(p[0]), uint32(p[1])); c != 0 {
			return c
		}
	}
	return 0
}

func compareUint32(a, b uint32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
