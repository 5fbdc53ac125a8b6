package repo_test

import (
	"os"
	"path/filepath"
	"testing"

	"zenith/internal/pg"
	"zenith/repo/repotest"
)

// TestPackWAL checks that a timeline's segments are packed but for those that a server has, and that
// PlainWAL makes a packed one a plain file again.
func TestPackWAL(t *testing.T) {
	tl := repotest.Create(t, repotest.Open(t, repotest.Redo), "main")
	log := repotest.NewLog(tl)
	tag := pg.BufferTag{RelFork: pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1663, DBOID: 5, RelNumber: 16384}}}
	for xid := pg.TransactionID(700); log.End < 0x1300000; xid++ {
		log.Add(t, repotest.Rec{Rmgr: 10, XID: xid, Blocks: []repotest.Block{{Tag: tag, Data: make([]byte, 4000)}}})
	}
	segments, err := tl.WAL().Segments()
	if err != nil || len(segments) < 3 {
		t.Fatalf("%d segments, %v", len(segments), err)
	}
	size := func(i int) int64 {
		info, err := os.Stat(filepath.Join(tl.WALDir(), segments[i].Name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	tl.HoldWAL(func(name string) bool { return name >= segments[2].Name })
	if err := tl.PackUpTo(0x1300000); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if packed := size(i) < repotest.SegSize; packed != (i < 2) {
			t.Errorf("%s has %d bytes", segments[i].Name, size(i))
		}
	}
	if err := tl.PlainWAL(segments[0].Name); err != nil {
		t.Fatal(err)
	}
	if size(0) != repotest.SegSize {
		t.Errorf("%s has %d bytes, and is to be plain", segments[0].Name, size(0))
	}
	tl.HoldWAL(nil)
}
