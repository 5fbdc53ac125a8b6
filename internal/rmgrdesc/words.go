package rmgrdesc

import (
	"fmt"
	"time"

	"zenith/internal/pg"
)

// pick gives one of two texts for a bool.
func pick(v bool, yes, no string) string {
	if v {
		return yes
	}
	return no
}

// letter gives T or F for a bool.
func letter(v bool) string { return pick(v, "T", "F") }

// fullXID is a FullTransactionId as epoch:xid.
func fullXID(x pg.FullTransactionID) string { return fmt.Sprintf("%d:%d", x.Epoch(), x.XID()) }

// timestamp writes a TimestampTz as the frontend's timestamptz_to_str does: the whole
// seconds in the zone, then the rest, which for times before 2000 is negative.
func (w *writer) timestamp(t pg.TimestampTz) {
	rest := t % 1e6
	sec := (t - rest).Time().In(w.zone)
	w.printf("%s.%06d %s", sec.Format(time.DateTime), rest, sec.Format("MST"))
}
