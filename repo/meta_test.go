package repo

import (
	"encoding/json"
	"testing"
	"time"
)

// TestRowsAreStoredAsEver: rows are JSON in which LSNs are numbers. Stores of earlier builds hold
// such rows, so the text form that an LSN has elsewhere must not get into them.
func TestRowsAreStoredAsEver(t *testing.T) {
	parent := timelineNo(7)
	until := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		row  any
		into any
		want string
	}{
		{timelineRow{ID: "a", Name: "main", Status: statusLive, Parent: &parent, Start: 0x16B3748, TLI: 1, SegSize: 2, SysID: 3}, &timelineRow{},
			`{"ID":"a","Name":"main","Status":"live","Parent":7,"Start":23803720,"TLI":1,"SegSize":2,"SysID":3}`},
		{timelineRow{ID: "a", Name: "main", Status: statusLive, Major: 15, TLI: 1, SegSize: 2, SysID: 3}, &timelineRow{},
			`{"ID":"a","Name":"main","Status":"live","Start":0,"Major":15,"TLI":1,"SegSize":2,"SysID":3}`},
		{timelineRow{ID: "a", Name: "b", Status: statusDeleted, Deleted: &until, Until: &until, Head: 5}, &timelineRow{},
			`{"ID":"a","Name":"b","Status":"deleted","Start":0,"TLI":0,"SegSize":0,"SysID":0,"Deleted":"2026-11-22T10:00:00Z","Until":"2026-11-22T10:00:00Z","Head":5}`},
		{timelineRow{ID: "a", Name: "main", Status: statusLive, TLI: 1, Switches: []tliSwitch{{2, 0x16B3748}, {4, 0x16B3750}}, SegSize: 2, SysID: 3}, &timelineRow{},
			`{"ID":"a","Name":"main","Status":"live","Start":0,"TLI":1,"SegSize":2,"SysID":3,"Switches":[{"TLI":2,"At":23803720},{"TLI":4,"At":23803728}]}`},
		{flushedRow{LSN: 3, Prev: 2, Intent: 4, left: 9}, &flushedRow{}, `{"LSN":3,"Prev":2,"Intent":4}`},
		{horizonRow{0x16B3748}, &horizonRow{}, `{"LSN":23803720}`},
		{leaseRow{UpTo: rowLSN(maxLSN), Until: until}, &leaseRow{}, `{"UpTo":18446744073709551615,"Until":"2026-11-22T10:00:00Z"}`},
	} {
		got := string(rowOp(nil, c.row).Value)
		if got != c.want {
			t.Errorf("%T: got %s, want %s", c.row, got, c.want)
		}
		if err := json.Unmarshal([]byte(c.want), c.into); err != nil {
			t.Errorf("%T: %v", c.row, err)
		}
		if again := string(rowOp(nil, c.into).Value); again != c.want {
			t.Errorf("%T: read and written again: got %s, want %s", c.row, again, c.want)
		}
	}
}
