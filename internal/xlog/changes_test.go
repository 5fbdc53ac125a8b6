package xlog_test

import (
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// TestChanges: which of the blocks that a record registers are versions of a page.
func TestChanges(t *testing.T) {
	for _, c := range []struct {
		name  string
		rmgr  xlog.RmgrID
		info  uint8
		fork  pg.ForkNumber
		image bool
		want  bool
	}{
		{"a change", xlog.RmHeap, 0, pg.MainFork, false, true},
		{"a hint with an image", xlog.RmXLOG, xlog.XLOGFPIForHint, pg.MainFork, true, true},
		{"a hint without one", xlog.RmXLOG, xlog.XLOGFPIForHint, pg.MainFork, false, false},
		{"an image", xlog.RmXLOG, xlog.XLOGFPI, pg.MainFork, true, true},
		{"a free space map", xlog.RmXLOG, xlog.XLOGFPI, pg.FSMFork, true, false},
	} {
		b := xlog.BlockRef{HasImage: c.image}
		b.Tag.Fork = c.fork
		rec := xlog.Record{V: pg.V15, RmgrID: c.rmgr, Info: c.info, Blocks: []xlog.BlockRef{b}}
		if got := rec.Changes(&rec.Blocks[0]); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
