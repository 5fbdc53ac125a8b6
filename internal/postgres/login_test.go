package postgres

import (
	"encoding/binary"
	"testing"

	"zenith/internal/heap"
	"zenith/internal/pg"
)

// Of a HeapTupleHeaderData (access/htup_details.h): where fields lie, and bits of its infomask.
const (
	tupleXmax, tupleInfomask, tupleHoff, sizeofHeapTupleHeader = 4, 20, 22, 23

	xmaxLockOnly, xminCommitted, xminInvalid, xmaxInvalid = 0x0080, 0x0100, 0x0200, 0x0800
)

// tuple makes a heap tuple of a catalog: an OID, a name and what lies behind.
func tuple(xmin, xmax pg.TransactionID, infomask uint16, oid pg.OID, name string, rest ...byte) []byte {
	t := make([]byte, 24, 24+nameOffset+heap.NameSize+len(rest))
	binary.LittleEndian.PutUint32(t, uint32(xmin))
	binary.LittleEndian.PutUint32(t[tupleXmax:], uint32(xmax))
	binary.LittleEndian.PutUint16(t[tupleInfomask:], infomask)
	t[tupleHoff] = 24
	t = binary.LittleEndian.AppendUint32(t, uint32(oid))
	t = append(t, make([]byte, heap.NameSize)...)
	copy(t[24+nameOffset:], name)
	return append(t, rest...)
}

func heapOf(t *testing.T, tuples ...[]byte) string {
	t.Helper()
	page := make(pg.Page, pg.BlockSize)
	page.Init(0)
	for _, tup := range tuples {
		if _, err := page.AddItem(tup, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	return string(page)
}

// TestFindLogin has catalogs with rows that no query would see: aborted, deleted, of an interrupted drop.
func TestFindLogin(t *testing.T) {
	testFindLogin(t, "14\n", databaseLayout14)
	testFindLogin(t, "18\n", databaseLayout15)
}

func testFindLogin(t *testing.T, version string, in databaseLayout) {
	t.Helper()
	const frozen, committed, aborted, early = xminCommitted | xminInvalid, 700, 701, 2
	super, plain := []byte{1, 1, 1, 1, 1}, []byte{0, 1, 0, 0, 1}
	db := func(template, allowed bool, limit int32) []byte {
		b := make([]byte, in.size-68)
		for off, on := range map[int]bool{in.isTemplate: template, in.allowConn: allowed} {
			if on {
				b[off-68] = 1
			}
		}
		binary.LittleEndian.PutUint32(b[in.connLimit-68:], uint32(limit))
		return b
	}
	clog := make([]byte, pg.BlockSize)
	clog[committed/4] = 1<<(committed%4*2) | 2<<(aborted%4*2)
	relmap := binary.LittleEndian.AppendUint32(nil, 0x592717)
	for _, n := range []uint32{2, 1262, 1262, 1260, 16999} {
		relmap = binary.LittleEndian.AppendUint32(relmap, n)
	}
	template1 := tuple(early, 0, frozen|xmaxInvalid, 1, "template1", db(true, true, -1)...)
	boss := tuple(committed, aborted, 0, 10, "boss", super...)
	for _, c := range []struct {
		name             string
		roles, databases [][]byte
		want             Login
	}{
		{"renamed", [][]byte{
			tuple(early, committed, frozen, 10, "postgres", super...),
			tuple(aborted, 0, xmaxInvalid, 10, "never", super...), boss,
		}, [][]byte{template1}, Login{"boss", "template1"}},
		{"may not log in", [][]byte{
			tuple(committed, 0, xmaxInvalid, 10, "boss", 1, 1, 1, 1, 0),
			tuple(committed, 0, xmaxInvalid, 16400, "user", plain...),
			tuple(committed, committed, xmaxLockOnly, 16402, "second", super...),
			tuple(committed, 0, xmaxInvalid, 16403, "third", super...),
		}, [][]byte{
			tuple(committed, 0, xmaxInvalid, 16390, "closed", db(false, false, -1)...),
			tuple(committed, 0, xmaxInvalid, 16391, "half dropped", db(false, true, invalidDatabase)...),
			tuple(committed, 0, xmaxInvalid, 16393, "later", db(false, true, -1)...),
			tuple(committed, 0, xmaxInvalid, 16392, "app", db(false, true, 3)...), template1,
		}, Login{"second", "app"}},
		{"usual", [][]byte{tuple(early, 0, frozen|xmaxInvalid, 10, "postgres", super...)},
			[][]byte{template1, tuple(early, 0, frozen|xmaxInvalid, 4, "a", db(false, true, -1)...), tuple(early, 0, frozen|xmaxInvalid, 5, "postgres", db(false, true, -1)...)},
			Login{"postgres", "postgres"}},
	} {
		got, err := FindLogin(mapFiles{
			"PG_VERSION": version, "global/pg_filenode.map": string(relmap), "global/16999": heapOf(t, c.roles...), "global/1262": heapOf(t, c.databases...), "pg_xact/0000": string(clog),
		})
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
	if got, err := FindLogin(mapFiles{}); err != nil || got != UsualLogin {
		t.Errorf("without catalogs: %+v, %v", got, err)
	}
	if _, err := FindLogin(mapFiles{"global/pg_filenode.map": string(relmap), "global/16999": heapOf(t, boss), "global/1262": heapOf(t, boss)[:100]}); err != nil {
		t.Errorf("a torn block: %v", err)
	}
	if _, err := FindLogin(mapFiles{"global/pg_filenode.map": "short"}); err == nil {
		t.Error("a short map is taken")
	}
}
