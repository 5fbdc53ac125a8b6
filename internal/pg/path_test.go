package pg_test

import (
	"errors"
	"testing"
	"time"

	"zenith/internal/pg"
)

func rel(spc, db, num pg.OID, fork pg.ForkNumber) pg.RelFork {
	return pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: spc, DBOID: db, RelNumber: num}, Fork: fork}
}

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		path string
		want pg.Path
	}{
		{"base/5/16384", pg.Path{Kind: pg.PathRelation, Fork: rel(1663, 5, 16384, pg.MainFork)}},
		{"base/5/16384_vm.1", pg.Path{Kind: pg.PathRelation, Fork: rel(1663, 5, 16384, pg.VisibilityMapFork), Segment: 1}},
		{"base/5/16384.12", pg.Path{Kind: pg.PathRelation, Fork: rel(1663, 5, 16384, pg.MainFork), Segment: 12}},
		{"base/5/4294967295_init", pg.Path{Kind: pg.PathRelation, Fork: rel(1663, 5, 4294967295, pg.InitFork)}},
		{"global/1262_fsm", pg.Path{Kind: pg.PathRelation, Fork: rel(1664, 0, 1262, pg.FSMFork)}},
		{"pg_tblspc/16385/PG_15_202209061/5/16386", pg.Path{Kind: pg.PathRelation, Fork: rel(16385, 5, 16386, pg.MainFork)}},
		{"pg_xact/0000", pg.Path{Kind: pg.PathSLRU, Fork: pg.SLRUXact.Segment(0)}},
		{"pg_multixact/members/14078", pg.Path{Kind: pg.PathSLRU, Fork: pg.SLRUMultiMembers.Segment(0x14078)}},
		{"pg_multixact/offsets/FFFF", pg.Path{Kind: pg.PathSLRU, Fork: pg.SLRUMultiOffsets.Segment(0xFFFF)}},
		{"pg_commit_ts/001A", pg.Path{Kind: pg.PathSLRU, Fork: pg.SLRUCommitTs.Segment(0x1A)}},
		{"global/pg_filenode.map", pg.Path{Kind: pg.PathRelMap, Fork: rel(1664, 0, 0, 0)}},
		{"base/5/pg_filenode.map", pg.Path{Kind: pg.PathRelMap, Fork: rel(1663, 5, 0, 0)}},
		{"base/5/PG_VERSION", pg.Path{Kind: pg.PathDBVersion, Fork: rel(1663, 5, 0, 0)}},
		{"base/5", pg.Path{Kind: pg.PathDatabase, Fork: rel(1663, 5, 0, 0)}},
		{"global", pg.Path{Kind: pg.PathDatabase, Fork: rel(1664, 0, 0, 0)}},
		{"pg_twophase/000002EA", pg.Path{Kind: pg.PathTwoPhase}},
		{"pg_wal/000000010000000000000001", pg.Path{Kind: pg.PathWALSegment}},
		{"base/5/t3_16390", pg.Path{Kind: pg.PathTempRelation, Fork: rel(1663, 5, 0, 0)}},
		{"base/5/t12_16390_fsm.1", pg.Path{Kind: pg.PathTempRelation, Fork: rel(1663, 5, 0, 0)}},
	} {
		if got := pg.V15.ParsePath(c.path); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.path, got, c.want)
		}
		if back, ok := pathOf(pg.V15, c.want); ok && back != c.path {
			t.Errorf("%+v: %s, want %s", c.want, back, c.path)
		}
	}
}

func TestOtherPaths(t *testing.T) {
	for _, path := range []string{
		"", "/", "PG_VERSION", "global/pg_control", "global/PG_VERSION", "base", "base/", "base//16384", "base/5/",
		"base/5/0", "base/5/016384", "base/5/16384.0", "base/5/16384.01", "base/5/16384.", "base/5/16384_", "base/5/16384_main",
		"base/5/16384_vm_fsm", "base/5/16384.1_vm", "base/5/4294967296", "base/5/-1", "base/5/+1", "base/5/16384x",
		"base/05/16384", "base/5/pg_internal.init", "base/pgsql_tmp/pgsql_tmp1.0", "base/5/t_16384", "base/5/t3_", "base/5/tx_1",
		"pg_xact/000", "pg_xact/00000", "pg_xact/000g", "pg_xact/00a0", "pg_xact/0000/1", "pg_multixact/0000", "pg_subtrans/0000",
		"pg_twophase/2EA", "pg_twophase/000002ea", "pg_wal/archive_status", "pg_wal/00000001.history", "pg_wal/000000010000000000000001.partial",
		"pg_tblspc/16385", "pg_tblspc/16385/PG_14_202107181/5/16386", "pg_tblspc/1663/PG_15_202209061/5/16386", "../base/5/1", "base/5/../5/1",
	} {
		if got := pg.V15.ParsePath(path); got.Kind != pg.PathOther {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"base/5/16384_vm.1", "pg_xact/0000", "pg_twophase/000002EA", "pg_twophase/00000001000002EA",
		"pg_tblspc/1/PG_15_202209061/5/6", "pg_tblspc/1/PG_19_202610061/5", "pg_multixact/members/00000000000001A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		for _, v := range pg.Versions {
			if back, ok := pathOf(v, v.ParsePath(path)); ok && back != path {
				t.Errorf("%v: %q is taken for %q", v, path, back)
			}
		}
	})
}

func TestControlFileErrors(t *testing.T) {
	good := (&pg.ControlFile{Version: pg.V15, SystemID: 7, State: pg.DBShutdowned, SegSize: 1 << 20}).Encode()
	if _, err := pg.ParseControlFile(good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(b []byte) []byte
		want  error
	}{
		"short":    {func(b []byte) []byte { return b[:100] }, pg.ErrCorrupt},
		"a bit":    {func(b []byte) []byte { b[40] ^= 1; return b }, pg.ErrCorrupt},
		"checksum": {func(b []byte) []byte { b[288] ^= 1; return b }, pg.ErrCorrupt},
		"version":  {func(b []byte) []byte { b[8] ^= 1; return b }, pg.ErrVersion},
	} {
		if _, err := pg.ParseControlFile(c.spoil(append([]byte(nil), good...))); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestTimestamps(t *testing.T) {
	at := time.Date(2026, 11, 22, 13, 24, 20, 123456000, time.UTC)
	ts := pg.TimestampOf(at)
	if ts != 848669060123456 || !ts.Time().Equal(at) || ts.String() != "2026-11-22T13:24:20.123456Z" {
		t.Errorf("%d is %v", ts, ts)
	}
}

func TestAdvancePast(t *testing.T) {
	for _, c := range []struct {
		next pg.FullTransactionID
		xid  pg.TransactionID
		want pg.FullTransactionID
	}{
		{pg.FullXID(0, 100), 99, pg.FullXID(0, 100)},
		{pg.FullXID(0, 100), 100, pg.FullXID(0, 101)},
		{pg.FullXID(0, 100), 150, pg.FullXID(0, 151)},
		{pg.FullXID(3, 100), 0, pg.FullXID(3, 100)},
		{pg.FullXID(3, 100), 2, pg.FullXID(3, 100)},
		{pg.FullXID(3, 0xFFFFFFFE), 0xFFFFFFFF, pg.FullXID(4, 3)},
		{pg.FullXID(3, 0xFFFFFFFE), 5, pg.FullXID(4, 6)},
		{pg.FullXID(3, 5), 0xFFFFFFFE, pg.FullXID(3, 5)},
	} {
		if got := c.next.AdvancePast(c.xid); got != c.want {
			t.Errorf("%x past %d: %x, want %x", c.next, c.xid, got, c.want)
		}
	}
}

func TestLSN(t *testing.T) {
	for s, want := range map[string]pg.LSN{"0/16B3748": 0x16B3748, "0_16B3748": 0x16B3748, "00000001016B3748": 0x1016B3748, "FFFFFFFF/FFFFFFFF": ^pg.LSN(0), "a/B": 0xA0000000B} {
		if got, err := pg.ParseLSN(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "/", "0/", "/0", "0/123456789", "0/-1", "0/+1", "0x1/2", "0/1/2", "16B3748", "0_1_2", "0/1_2", "g/1"} {
		if got, err := pg.ParseLSN(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func BenchmarkChecksum(b *testing.B) {
	page := newPage(0)
	b.SetBytes(pg.BlockSize)
	for b.Loop() {
		pg.Checksum(page, 1)
	}
}

func TestTablespacePath(t *testing.T) {
	if got := pg.TablespacePath(16385); got != "pg_tblspc/16385" {
		t.Errorf("got %q", got)
	}
	if spc, ok := pg.ParseTablespacePath("pg_tblspc/16385"); spc != 16385 || !ok {
		t.Errorf("got %v, %v", spc, ok)
	}
	for _, path := range []string{"", "pg_tblspc", "pg_tblspc/", "16385", "base/16385", "pg_tblspc/016385", "pg_tblspc/x",
		"pg_tblspc/1663", "pg_tblspc/1664", "pg_tblspc/16385/PG_15_202209061", "pg_tblspc/99999999999"} {
		if spc, ok := pg.ParseTablespacePath(path); ok {
			t.Errorf("%q: got tablespace %v", path, spc)
		}
	}
}
