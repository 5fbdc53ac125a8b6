package tenants

import (
	"errors"
	"testing"

	"zenith/internal/pg"
	"zenith/repo"
)

// TestRecordWithoutEntry: the WAL knows a newer record of a page than the index does.
func TestRecordWithoutEntry(t *testing.T) {
	rf := pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1663, DBOID: 5, RelNumber: 16384}}
	h := &headCheck{newest: map[pg.BufferTag]pg.LSN{rf.Tag(1): 200, rf.Tag(2): 200, rf.Tag(3): 200, rf.Tag(4): 200}}
	zeros := make(pg.Page, pg.BlockSize)
	for _, c := range []struct {
		page repo.PageCheck
		want error
	}{
		{repo.PageCheck{Tag: rf.Tag(0), Page: zeros, LSN: 100}, nil},             // not in this WAL
		{repo.PageCheck{Tag: rf.Tag(1), Page: zeros, LSN: 200}, nil},             // the same
		{repo.PageCheck{Tag: rf.Tag(2), Page: zeros, LSN: 208}, nil},             // an effect that the record does not name
		{repo.PageCheck{Tag: rf.Tag(3), Page: zeros, LSN: 0, Cut: 200}, nil},     // truncated since
		{repo.PageCheck{Tag: rf.Tag(4), Page: zeros, LSN: 192}, repo.ErrCorrupt}, // lost
	} {
		if err := h.page(&c.page); !errors.Is(err, c.want) {
			t.Errorf("%v: error %v, want %v", c.page.Tag, err, c.want)
		}
	}
	odd := make(pg.Page, pg.BlockSize)
	odd.SetUpper(100)
	if err := h.page(&repo.PageCheck{Tag: rf.Tag(0), Page: odd}); !errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("page with a broken header: %v", err)
	}
}
