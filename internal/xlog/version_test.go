package xlog_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// otherVersion is no PostgreSQL's, but has what one or the other major has otherwise than 15.
var otherVersion = &pg.Version{
	Release:             pg.Release{Major: 99, WALMagic: 0xD199},
	OverwriteContRecord: 0x0004, PageFlags: 0x0007,
	ImageBits:      pg.ImageBits{HasHole: 0x01, PGLZ: 0x02, Apply: 0x04},
	SLRUPageNoSize: 8, StatsItemSize: 16, RelMapSize: 524, MultiOffsetSize: 8,
}

// noStats is of a version whose transactions drop no statistics.
var noStats = &pg.Version{}

// bytesOf appends integers of fixed size and strings.
func bytesOf(parts ...any) (b []byte) {
	for _, p := range parts {
		if s, ok := p.(string); ok {
			b = append(b, s...)
		} else {
			b, _ = binary.Append(b, binary.LittleEndian, p)
		}
	}
	return b
}

func TestImageInfoIsNormalised(t *testing.T) {
	for _, c := range []struct {
		v          *pg.Version
		info, want uint8
	}{
		{pg.V15, 0x1F, 0x1F},
		{pg.V15, 0xE0, 0},
		{otherVersion, 0x01, xlog.ImageHasHole},
		{otherVersion, 0x02, xlog.ImagePGLZ},
		{otherVersion, 0x04, xlog.ImageApply},
		{otherVersion, 0xFF, xlog.ImageHasHole | xlog.ImageApply | xlog.ImagePGLZ},
	} {
		if got := xlog.ImageInfo(c.v, c.info); got != c.want {
			t.Errorf("%v: bimg_info %02X is %02X, want %02X", c.v, c.info, got, c.want)
		}
	}
	raw := rawRecord("\x00\x10\x00\x00" + "\x05\x00\x00\x00\x06" + locator + blkno7 + "image") // compressed, to be applied
	var rec xlog.Record
	if err := xlog.Decode(otherVersion, raw, 1, 2, &rec); err != nil {
		t.Fatal(err)
	}
	if b := rec.Block(0); !b.Apply || b.Image.Info != xlog.ImageApply|xlog.ImagePGLZ || string(b.Image.Bytes) != "image" {
		t.Errorf("got %+v", b)
	}
}

// TestWALOfEachVersion reads WAL of each major version as each: it is read as what it is, and refused by name otherwise.
func TestWALOfEachVersion(t *testing.T) {
	const start, prev = pg.LSN(1 << 20), pg.LSN(1<<20 - 64)
	for _, v := range pg.Versions {
		cfg := xlog.Config{Version: v, SegSize: 1 << 20, SysID: 7, TLI: 1}
		patches, end := xlog.ShutdownCheckpoint(start, prev, &pg.CheckPoint{ThisTLI: 1, NextMultiOffset: 5}, cfg)
		src := newMemWAL()
		for _, p := range patches {
			src.write(p.At, p.Bytes)
		}
		src.end = end
		for _, as := range pg.Versions {
			cfg.Version = as
			var rec xlog.Record
			err := xlog.NewReader(src, cfg, start).Next(&rec)
			if as != v {
				if !errors.Is(err, xlog.ErrVersion) || !strings.Contains(err.Error(), v.String()) || !strings.Contains(err.Error(), as.String()) {
					t.Errorf("wal of %v read as %v: %v", v, as, err)
				}
				continue
			}
			cp, perr := xlog.ParseCheckPoint(&rec)
			if err != nil || perr != nil || rec.V != v || cp.NextMultiOffset != 5 || rec.EndLSN != end {
				t.Errorf("wal of %v: %v, %v, record %+v", v, err, perr, rec)
			}
		}
	}
}

// bodies are records' bodies and what they are parsed to, which differ by version.
var bodies = []struct {
	name   string
	v      *pg.Version
	rm     xlog.RmgrID
	info   uint8
	main   []byte
	parse  func(rec *xlog.Record) (any, error)
	expect any
}{
	{"page number", otherVersion, xlog.RmCLOG, xlog.CLOGZeroPage, bytesOf(uint64(0x12345678)),
		func(rec *xlog.Record) (any, error) { return xlog.ParseZeroPage(rec) }, uint32(0x12345678)},
	{"clog truncate", otherVersion, xlog.RmCLOG, xlog.CLOGTruncate, bytesOf(uint64(7), uint32(8), uint32(9)),
		func(rec *xlog.Record) (any, error) { return xlog.ParseCLOGTruncate(rec) }, xlog.CLOGTruncateRec{Page: 7, OldestXID: 8, OldestDB: 9}},
	{"commit_ts truncate", otherVersion, xlog.RmCommitTs, xlog.CommitTsTruncate, bytesOf(uint64(7), uint32(8)),
		func(rec *xlog.Record) (any, error) { return xlog.ParseCommitTsTruncate(rec) }, xlog.CommitTsTruncateRec{Page: 7, OldestXID: 8}},
	{"multixact create", otherVersion, xlog.RmMultiXact, xlog.MultiXactCreateID, bytesOf(uint32(5), uint32(0), uint64(1<<32+6), int32(1), uint32(700), uint32(2)),
		func(rec *xlog.Record) (any, error) {
			c, err := xlog.ParseMultiXactCreate(rec)
			if err != nil {
				return nil, err
			}
			return fmt.Sprint(c.ID, uint64(c.Offset), c.Members.Len(), c.Members.At(0)), nil
		}, "5 4294967302 1 {700 2}"},
	{"dropped statistics", pg.V15, xlog.RmXact, xlog.XactCommit | 0x80,
		bytesOf(int64(0), uint32(xlog.XactHasDroppedStats), int32(2), int32(1), uint32(5), uint32(6), int32(2), uint32(7), uint32(8)), commitStats, "{1 5 6} {2 7 8}"},
	{"wide dropped statistics", otherVersion, xlog.RmXact, xlog.XactCommit | 0x80,
		bytesOf(int64(0), uint32(xlog.XactHasDroppedStats), int32(2), int32(1), uint32(5), uint32(6), uint32(1), int32(2), uint32(7), uint32(8), uint32(0)), commitStats, "{1 5 4294967302} {2 7 8}"},
	{"relation map", otherVersion, xlog.RmRelMap, xlog.RelMapUpdate, bytesOf(uint32(5), uint32(1663), int32(524), string(make([]byte, 524))),
		func(rec *xlog.Record) (any, error) {
			u, err := xlog.ParseRelMapUpdate(rec)
			return len(u.Data), err
		}, 524},
}

func commitStats(rec *xlog.Record) (any, error) {
	e, err := xlog.ParseXactEnd(rec)
	if err != nil {
		return nil, err
	}
	return fmt.Sprint(e.Stats.At(0), e.Stats.At(1)), nil
}

// TestBodiesByVersion: a body is read as its version has it, and refused by another one.
func TestBodiesByVersion(t *testing.T) {
	for _, c := range bodies {
		t.Run(c.name, func(t *testing.T) {
			rec := xlog.Record{V: c.v, RmgrID: c.rm, Info: c.info, MainData: c.main}
			if got, err := c.parse(&rec); err != nil || got != c.expect {
				t.Errorf("got %v, %v, want %v", got, err, c.expect)
			}
			other := rec
			if other.V = pg.V15; c.v == pg.V15 {
				other.V = otherVersion
			}
			if got, err := c.parse(&other); !errors.Is(err, xlog.ErrCorrupt) {
				t.Errorf("taken for one of %v: got %v, %v, want ErrCorrupt", other.V, got, err)
			}
			for _, main := range [][]byte{c.main[:len(c.main)-1], append(c.main[:len(c.main):len(c.main)], 0)} {
				rec.MainData = main
				if got, err := c.parse(&rec); !errors.Is(err, xlog.ErrCorrupt) {
					t.Errorf("%d bytes in place of %d: got %v, %v, want ErrCorrupt", len(main), len(c.main), got, err)
				}
			}
		})
	}
}

// An SLRU with so many pages is none that is kept.
func TestPageNumberTooBig(t *testing.T) {
	rec := xlog.Record{V: otherVersion, RmgrID: xlog.RmCLOG, MainData: bytesOf(uint64(1 << 32))}
	if n, err := xlog.ParseZeroPage(&rec); !errors.Is(err, xlog.ErrCorrupt) {
		t.Errorf("got page %d, %v, want ErrCorrupt", n, err)
	}
}

// The head of a prepared transaction's state is shorter where it counts no statistics.
func TestPrepareWithoutStats(t *testing.T) {
	head := bytesOf(uint32(0x57F94534), uint32(64+8+8+4), uint32(700), uint32(5), int64(9), uint32(10),
		int32(1), int32(0), int32(0), int32(0), uint16(0), uint16(3), uint64(0x11), int64(0x22))
	if len(head) != 64 {
		t.Fatalf("the head is %d bytes", len(head))
	}
	p, err := xlog.ParsePrepareState(noStats, append(head, bytesOf("id\x00\x00\x00\x00\x00\x00", uint32(701), uint32(0))...))
	if err != nil || p.XID != 700 || p.GID != "id" || p.SubXIDs.Len() != 1 || p.SubXIDs.At(0) != 701 || p.OriginLSN != 0x11 || p.CommitStats.Len() != 0 {
		t.Errorf("got %+v, %v", p, err)
	}
}

// TestFixedBodies: the bodies of these records have one length in each version, in which a count is 0. Every other length is refused:
// it is another version's.
func TestFixedBodies(t *testing.T) {
	const none = 0 // the version has no such record
	for name, c := range map[string]struct {
		sizes [6]int // in 14 to 19
		info  uint8
		parse func(rec *xlog.Record) error
	}{
		"prune":          {[6]int{8, 8, 9, none, none, none}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseHeapPrune(rec); return err }},
		"prune, freeze":  {[6]int{none, none, none, 2, 2, 2}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseHeapPruneFreeze(rec); return err }},
		"freeze":         {[6]int{6, 6, 7, none, none, none}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseHeapFreezePage(rec); return err }},
		"visible":        {[6]int{5, 5, 5, 5, 5, none}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseHeapVisible(rec); return err }},
		"inplace":        {[6]int{2, 2, 2, 2, 20, 20}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseHeapInplace(rec); return err }},
		"btree":          {[6]int{8, 8, 9, 9, 9, 9}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseBtreeDelete(rec); return err }},
		"btree reuse":    {[6]int{24, 24, 25, 25, 25, 25}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseBtreeReusePage(rec); return err }},
		"gist":           {[6]int{6, 6, 8, 8, 8, 8}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseGistDelete(rec); return err }},
		"gist reuse":     {[6]int{24, 24, 25, 25, 25, 25}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseGistPageReuse(rec); return err }},
		"spgist":         {[6]int{8, 8, 10, 10, 10, 10}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseSpgVacuumRedirect(rec); return err }},
		"checkpoint":     {[6]int{88, 88, 88, 88, 88, 96}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseCheckPoint(rec); return err }},
		"redo point":     {[6]int{none, none, none, 4, 4, 4}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseCheckpointRedo(rec); return err }},
		"recovery":       {[6]int{16, 16, 16, 24, 24, 24}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseEndOfRecovery(rec); return err }},
		"decoding":       {[6]int{none, none, none, none, none, 1}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseLogicalDecoding(rec); return err }},
		"page":           {[6]int{4, 4, 4, 8, 8, 8}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseZeroPage(rec); return err }},
		"clog":           {[6]int{12, 12, 12, 16, 16, 16}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseCLOGTruncate(rec); return err }},
		"commit ts":      {[6]int{8, 8, 8, 12, 12, 12}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseCommitTsTruncate(rec); return err }},
		"multixact":      {[6]int{12, 12, 12, 12, 12, 20}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseMultiXactCreate(rec); return err }},
		"multixacts go":  {[6]int{20, 20, 20, 20, 20, 16}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseMultiXactTruncate(rec); return err }},
		"new db, copied": {[6]int{16, 16, 16, 16, 16, 16}, xlog.DbaseCreateFileCopy, func(rec *xlog.Record) error { _, err := xlog.ParseDbaseCreate(rec); return err }},
		"new db":         {[6]int{none, 8, 8, 8, 8, 8}, xlog.DbaseCreateWALLog, func(rec *xlog.Record) error { _, err := xlog.ParseDbaseCreate(rec); return err }},
		"drop db":        {[6]int{8, 8, 8, 8, 8, 8}, 0, func(rec *xlog.Record) error { _, err := xlog.ParseDbaseDrop(rec); return err }},
	} {
		for i, v := range pg.Versions {
			size := c.sizes[i]
			if size == none {
				continue
			}
			for _, n := range []int{size - 1, size, size + 1, size + 4} {
				err := c.parse(&xlog.Record{V: v, RmgrID: xlog.RmDbase, Info: c.info, MainData: make([]byte, n)})
				if (err == nil) != (n == size) || err != nil && !errors.Is(err, xlog.ErrCorrupt) {
					t.Errorf("%v: %s of %d bytes, want %d: got %v", v, name, n, size, err)
				}
			}
		}
	}
}
