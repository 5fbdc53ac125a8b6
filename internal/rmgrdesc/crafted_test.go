package rmgrdesc_test

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
	"zenith/walredo"
)

// TestCrafted writes records that no short load makes, and some that none does, into a
// segment of our own, and compares what we and pg_waldump say of them.
func TestCrafted(t *testing.T) {
	if testing.Short() {
		t.Skip("needs pg_waldump")
	}
	pgtest.Majors(t, func(t *testing.T, v *pg.Version, in pgtest.Installation) {
		if !hasWaldump(in) {
			t.Skip("the installation has no pg_waldump")
		}
		testCrafted(t, v, in)
	})
}

func testCrafted(t *testing.T, v *pg.Version, in pgtest.Installation) {
	w := newSegment(v)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 24 * 256 * 4 {
		rm, info := xlog.RmgrID(i%24), uint8(i/24)&^xlog.CheckConsistency
		if rm > xlog.RmMax {
			rm = xlog.RmMinCustom + 120 + rm
		}
		switch {
		case rm == xlog.RmXLOG && info&0xF0 == 0x40: // SWITCH: what follows is skipped
		case rm == xlog.RmXact && (info&0xF0 == xlog.XactCommitPrepared || info&0xF0 == xlog.XactAbortPrepared):
			// Without XLOG_XACT_HAS_INFO they do not say whose they are.
		case rm == xlog.RmLogicalMsg: // its sizes are 64 bits wide, which pg_waldump would believe
		default:
			rec := &xlog.Record{V: v, RmgrID: rm, Info: info}
			block := words(rnd, 20)
			if prunes(rec) {
				block = nil
			}
			w.record(rm, info, body(rnd, rec), block)
		}
	}
	for _, msg := range [][]byte{
		append(make([]byte, 24), "p\x00message"...),
		append([]byte{5, 0, 0, 0, 1, 0, 0, 0}, make([]byte, 24)...),
	} {
		msg[8], msg[16] = 2, byte(len(msg)-26)
		w.record(xlog.RmLogicalMsg, 0, msg, nil)
	}
	for _, word := range []uint64{0, 0x3FF0000000000000, 0x40F86A0000000000, 0x412E848000000000, 0xC12E848123456789, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000, 0x3F1A36E2EB1C432D} {
		data := binary.LittleEndian.AppendUint64(nil, word) // the numbers that %g likes to differ on
		w.record(xlog.RmHash, 0xB0, data, nil)
		w.record(xlog.RmHash, 0x00, append(data, make([]byte, 8)...), nil)
	}
	dir := w.write(t)
	seen := compare(t, dir, w.start, func(end pg.LSN) []string { return pgWaldump(t, in, dir, w.start, end) })
	for op := range allOps(v) {
		if !seen.ops[op] && op != "XLOG/SWITCH" {
			t.Errorf("%s was not among the records", op)
		}
	}
}

// allOps lists every operation that has a name.
func allOps(v *pg.Version) map[string]bool {
	ops := map[string]bool{}
	for rm := range xlog.RmMax + 1 {
		for info := 0; info < 256; info += 16 {
			name, op := walredo.Name(&xlog.Record{V: v, RmgrID: rm, Info: uint8(info)})
			if len(op) < 7 || op[:7] != "UNKNOWN" {
				ops[name+"/"+op] = true
			}
		}
	}
	return ops
}

// words makes n words of 0 or 1: as counts they stay within the record, as bools they
// are bools.
func words(rnd *rand.Rand, n int) []byte {
	b := make([]byte, 4*n)
	for i := 0; i < len(b); i += 4 {
		b[i] = byte(rnd.IntN(2))
	}
	return b
}

// opID tells an operation of a resource manager.
type opID struct {
	rm xlog.RmgrID
	op uint8
}

// prunes reports whether the record's block has data of which each part must be there that the body names, and no more.
func prunes(rec *xlog.Record) bool {
	return rec.RmgrID == xlog.RmHeap2 && rec.V.Major >= 17 && rec.Op() >= 0x10 && rec.Op() <= 0x30
}

// exactSizes are the bodies whose length we insist on, and pg_waldump does not: that of
// another major version is different. They are those of 15, 17, 18 and 19; 0: there is no such record.
var exactSizes = map[opID][4]int{
	{xlog.RmXLOG, xlog.XLOGCheckpointShutdown}:    {88, 88, 88, 96},
	{xlog.RmXLOG, xlog.XLOGCheckpointOnline}:      {88, 88, 88, 96},
	{xlog.RmXLOG, xlog.XLOGCheckpointRedo}:        {0, 4, 4, 4},
	{xlog.RmXLOG, xlog.XLOGLogicalDecoding}:       {0, 0, 0, 1},
	{xlog.RmCLOG, xlog.CLOGZeroPage}:              {4, 8, 8, 8},
	{xlog.RmCLOG, xlog.CLOGTruncate}:              {12, 16, 16, 16},
	{xlog.RmCommitTs, xlog.CommitTsZeroPage}:      {4, 8, 8, 8},
	{xlog.RmCommitTs, xlog.CommitTsTruncate}:      {8, 12, 12, 12},
	{xlog.RmMultiXact, xlog.MultiXactZeroOffPage}: {4, 8, 8, 8},
	{xlog.RmMultiXact, xlog.MultiXactZeroMemPage}: {4, 8, 8, 8},
	{xlog.RmMultiXact, xlog.MultiXactTruncateID}:  {20, 20, 20, 16},
	{xlog.RmXLOG, xlog.XLOGEndOfRecovery}:         {16, 24, 24, 24},
	{xlog.RmDbase, xlog.DbaseCreateFileCopy}:      {16, 16, 16, 16},
	{xlog.RmDbase, xlog.DbaseCreateWALLog}:        {8, 8, 8, 8},
	{xlog.RmHeap, 0x70}:                           {2, 2, 0, 0},     // INPLACE
	{xlog.RmHeap2, 0x10}:                          {8, 2, 2, 2},     // PRUNE
	{xlog.RmHeap2, 0x20}:                          {2, 2, 2, 2},     // VACUUM
	{xlog.RmHeap2, 0x30}:                          {6, 2, 2, 2},     // FREEZE_PAGE
	{xlog.RmHeap2, 0x40}:                          {5, 5, 5, 0},     // VISIBLE
	{xlog.RmBtree, 0x70}:                          {8, 9, 9, 9},     // DELETE
	{xlog.RmBtree, 0xD0}:                          {24, 25, 25, 25}, // REUSE_PAGE
	{xlog.RmGist, 0x20}:                           {24, 25, 25, 25}, // PAGE_REUSE
}

// exactArrays are such bodies that end with an array.
var exactArrays = map[opID][4]array{
	{xlog.RmDbase, xlog.DbaseDrop}:             {{4, 8, 4}, {4, 8, 4}, {4, 8, 4}, {4, 8, 4}},
	{xlog.RmMultiXact, xlog.MultiXactCreateID}: {{8, 12, 8}, {8, 12, 8}, {8, 12, 8}, {16, 20, 8}},
	{xlog.RmHeap, 0x70}:                        {{}, {}, {16, 20, 16}, {16, 20, 16}},            // INPLACE
	{xlog.RmHash, 0xC0}:                        {{4, 8, 2}, {4, 8, 2}, {4, 8, 2}, {4, 8, 2}},    // VACUUM_ONE_PAGE
	{xlog.RmGist, 0x10}:                        {{4, 6, 2}, {4, 8, 2}, {4, 8, 2}, {4, 8, 2}},    // DELETE
	{xlog.RmSPGist, 0x80}:                      {{0, 8, 2}, {0, 10, 2}, {0, 10, 2}, {0, 10, 2}}, // VACUUM_REDIRECT
}

// array is where an array's length is, and it itself, and the size of an element.
type array struct{ count, head, element int }

// column is where a version is in exactSizes and exactArrays.
func column(v *pg.Version) int {
	return map[*pg.Version]int{pg.V15: 0, pg.V17: 1, pg.V18: 2, pg.V19: 3}[v]
}

// body makes the main data of a record: words of 0 or 1, but for what we check of them and
// pg_waldump does not.
func body(rnd *rand.Rand, rec *xlog.Record) []byte {
	main := words(rnd, 90)
	id := opID{rec.RmgrID, rec.Op()}
	if prunes(rec) {
		main[0], main[1] = main[0]&1, 0 // no horizon, and nothing in the block
	}
	if hasPageNo := rec.RmgrID == xlog.RmCLOG || rec.RmgrID == xlog.RmCommitTs || rec.RmgrID == xlog.RmMultiXact && rec.Op() <= xlog.MultiXactZeroMemPage; hasPageNo && rec.V.SLRUPageNoSize == 8 {
		clear(main[4:8]) // we have no page of so high a number
	}
	if n := exactSizes[id][column(rec.V)]; n > 0 {
		return main[:n]
	}
	if a := exactArrays[id][column(rec.V)]; a.element > 0 {
		return main[:a.head+a.element*int(main[a.count])]
	}
	switch id {
	case opID{xlog.RmRelMap, xlog.RelMapUpdate}:
		const headSize = 12
		binary.LittleEndian.PutUint32(main[8:], uint32(rec.V.RelMapSize))
		return append(main[:headSize], make([]byte, rec.V.RelMapSize)...)
	case opID{xlog.RmXact, xlog.XactCommit}, opID{xlog.RmXact, xlog.XactAbort}:
		return main[:xactEndSize(rec.Info, main)]
	case opID{xlog.RmXact, xlog.XactPrepare}:
		const magic, headSize = 0x57F94534, 72
		binary.LittleEndian.PutUint32(main, magic)
		binary.LittleEndian.PutUint32(main[4:], uint32(len(main)+4)) // with the file's checksum
		binary.LittleEndian.PutUint16(main[54:], 1)                  // gidlen
		main[headSize] = 0
	case opID{xlog.RmXact, xlog.XactCommitPrepared}, opID{xlog.RmXact, xlog.XactAbortPrepared}:
		main[8] |= xlog.XactHasTwoPhase // in xinfo, behind the time
		return main[:xactEndSize(rec.Info, main)]
	}
	return main
}

// xactEndSize is the size of the body of a transaction's end that begins as main does, whose
// parts are a database and a prepared transaction at most.
func xactEndSize(info uint8, main []byte) int {
	const hasInfo = 0x80
	size := 8 // the time
	if info&hasInfo == 0 {
		return size
	}
	xinfo := main[8]
	size += 4
	if xinfo&xlog.XactHasDBInfo != 0 {
		size += 8
	}
	if xinfo&xlog.XactHasTwoPhase != 0 {
		size += 4
	}
	return size
}

const segSize = 16 << 20

// segment is a WAL segment in the making.
type segment struct {
	v           *pg.Version
	buf         []byte
	start, prev pg.LSN
}

// newSegment begins with the long page header.
func newSegment(v *pg.Version) *segment {
	s := &segment{v: v, start: segSize}
	s.pageHeader(0)
	return s
}

// pageHeader begins a page, on which so many bytes of a record go on.
func (s *segment) pageHeader(remaining int) {
	const longHeader = 0x0002
	h := make([]byte, xlog.ShortPageHeaderSize)
	if len(s.buf) == 0 {
		h = make([]byte, xlog.LongPageHeaderSize)
		h[2] = longHeader
		binary.LittleEndian.PutUint32(h[32:], segSize)
		binary.LittleEndian.PutUint32(h[36:], xlog.PageSize)
	}
	if remaining > 0 {
		h[2] |= 0x0001
	}
	binary.LittleEndian.PutUint16(h, s.v.WALMagic)
	h[4] = 1
	binary.LittleEndian.PutUint64(h[8:], uint64(s.start)+uint64(len(s.buf)))
	binary.LittleEndian.PutUint32(h[16:], uint32(remaining))
	s.buf = append(s.buf, h...)
}

// record appends a record with one block.
func (s *segment) record(rm xlog.RmgrID, info uint8, main, block []byte) {
	raw := make([]byte, xlog.RecordHeaderSize)
	raw[4], raw[16], raw[17] = 7, info, byte(rm)
	binary.LittleEndian.PutUint64(raw[8:], uint64(s.prev))
	flags := byte(0x20)
	if len(block) == 0 {
		flags = 0
	}
	raw = append(raw, 0, flags)
	raw = binary.LittleEndian.AppendUint16(raw, uint16(len(block)))
	for _, word := range []uint32{1663, 5, 1259, 3} {
		raw = binary.LittleEndian.AppendUint32(raw, word)
	}
	raw = append(raw, 254)
	raw = binary.LittleEndian.AppendUint32(raw, uint32(len(main)))
	raw = append(append(raw, block...), main...)
	binary.LittleEndian.PutUint32(raw, uint32(len(raw)))
	binary.LittleEndian.PutUint32(raw[20:], xlog.RecordCRC(raw))

	s.buf = append(s.buf, make([]byte, -len(s.buf)&7)...)
	for begun := false; len(raw) > 0; begun = true {
		if len(s.buf)%xlog.PageSize == 0 {
			if begun {
				s.pageHeader(len(raw))
			} else {
				s.pageHeader(0)
			}
		}
		if !begun {
			s.prev = s.start + pg.LSN(len(s.buf))
		}
		n := min(len(raw), xlog.PageSize-len(s.buf)%xlog.PageSize)
		s.buf, raw = append(s.buf, raw[:n]...), raw[n:]
	}
}

// write makes a directory with the segment in it.
func (s *segment) write(t *testing.T) pgtest.WALDir {
	t.Helper()
	if len(s.buf) > segSize-xlog.PageSize {
		t.Fatalf("segment is full: %d bytes", len(s.buf))
	}
	dir := pgtest.WALDir{Version: s.v, Dir: pgtest.TempDir(t), TLI: 1, SegSize: segSize}
	path := filepath.Join(dir.Dir, xlog.SegmentName(1, s.start, segSize))
	if err := os.WriteFile(path, append(s.buf, make([]byte, segSize-len(s.buf))...), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
