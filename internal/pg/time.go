package pg

import "time"

// TimestampTz is PostgreSQL's: microseconds since 2000-01-01 UTC.
type TimestampTz int64

// epochDiff is the distance from the Unix epoch to PostgreSQL's, in microseconds.
const epochDiff = 946684800 * 1_000_000

// TimestampOf converts, rounding down to microseconds.
func TimestampOf(t time.Time) TimestampTz { return TimestampTz(t.UnixMicro() - epochDiff) }

// Time converts to Go's time, in UTC.
func (t TimestampTz) Time() time.Time { return time.UnixMicro(int64(t) + epochDiff).UTC() }

// String gives the time as RFC 3339 with microseconds.
func (t TimestampTz) String() string { return t.Time().Format("2006-01-02T15:04:05.000000Z07:00") }
