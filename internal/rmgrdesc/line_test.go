package rmgrdesc_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/internal/rmgrdesc"
	"zenith/internal/xlog"
)

// TestLine is the form of a line, without a PostgreSQL at hand.
func TestLine(t *testing.T) {
	rec := xlog.Record{V: pg.V15,
		StartLSN: 0x1_01550000, Prev: 0x1_0154FFA8, Raw: make([]byte, 300), XID: 731,
		RmgrID: xlog.RmHeap, Info: 0x80, MainData: []byte{9, 0, 4},
		Blocks: []xlog.BlockRef{
			{Tag: pg.BufferTag{RelFork: pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1663, DBOID: 5, RelNumber: 1249}}, Block: 7},
				HasImage: true, Apply: true, Image: xlog.Image{Bytes: make([]byte, 200)}},
			{ID: 2, Tag: pg.BufferTag{RelFork: pg.RelFork{Fork: pg.VisibilityMapFork}}, HasImage: true},
		},
	}
	const want = "rmgr: Heap        len (rec/tot):    100/   300, tx:        731, lsn: 1/01550000, prev 1/0154FFA8, " +
		"desc: INSERT+INIT off 9 flags 0x04, blkref #0: rel 1663/5/1249 blk 7 FPW, " +
		"blkref #2: rel 0/0/0 fork vm blk 0 FPW for WAL verification"
	if got := rmgrdesc.Line(&rec, time.Local); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestDamaged has a line for records cut short, which says so.
func TestDamaged(t *testing.T) {
	for _, tt := range []struct {
		rm   xlog.RmgrID
		info uint8
		main []byte
		want string
	}{
		{xlog.RmHeap, 0x10, []byte{1, 2}, "desc: DELETE <xl_heap_delete or xl_heap_lock is 2 bytes, want 8: corrupt wal record>"},
		{xlog.RmHeap, 0xB0, append(make([]byte, 4), 1, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0), "desc: UNKNOWN (b0) cascade nrelids 1 relids 5"},
		{xlog.RmMultiXact, 0x20, append(make([]byte, 8), 1, 0, 0, 0x80), "desc: CREATE_ID <xl_multixact_create has -2147483647 members in 0 bytes: corrupt wal record>"},
		{xlog.RmXact, 0x80, []byte{0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0}, "desc: COMMIT <xl_xact_commit or xl_xact_abort does not fit into 16 bytes: corrupt wal record>"},
		{200, 0x50, nil, "rmgr: custom200   "},
		{200, 0x50, nil, "desc: UNKNOWN (50) rmid: 200"},
		{99, 0, nil, "rmgr: unknown099 "},
	} {
		rec := xlog.Record{V: pg.V15, RmgrID: tt.rm, Info: tt.info, MainData: tt.main}
		if got := rmgrdesc.Line(&rec, time.Local); !strings.Contains(got, tt.want) {
			t.Errorf("got %q, want %q in it", got, tt.want)
		}
	}
}

// FuzzLine has a line for everything that can be decoded.
func FuzzLine(f *testing.F) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for rm := range xlog.RmMax + 1 {
		for info := 0; info < 256; info += 16 {
			f.Add(uint8(rm), uint8(info), words(rnd, 90), words(rnd, 20))
		}
	}
	f.Fuzz(func(t *testing.T, rm, info uint8, main, block []byte) {
		for _, v := range pg.Versions {
			rec := xlog.Record{V: v, RmgrID: xlog.RmgrID(rm), Info: info, MainData: main, Blocks: []xlog.BlockRef{{Data: block, HasData: true}}}
			if line := rmgrdesc.Line(&rec, time.Local); !strings.HasPrefix(line, "rmgr: ") {
				t.Errorf("line %q", line)
			}
		}
	})
}
