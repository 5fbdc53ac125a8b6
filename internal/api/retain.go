package api

import (
	"math"
	"strconv"
	"strings"
)

// byteUnits are the suffixes of sizes, as PostgreSQL's settings have them (powers of 1024).
var byteUnits = map[string]int64{"": 1, "b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}

// ParseRetain reads what gc is to leave: a duration (90s, 15m, 36h, 7d) or a number of
// bytes of WAL (1000000, 512MB, 10GB).
func ParseRetain(s string) (Retain, error) {
	if d, ok := ParseAge(s); ok {
		return Retain{Time: d, Set: true}, nil
	}
	digits := strings.TrimRight(s, "bBkKmMgGtT")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, known := byteUnits[strings.ToLower(s[len(digits):])]
	if err != nil || n < 0 || !known || n > math.MaxInt64/unit {
		return Retain{}, Errorf(ErrBadArgument, "retain %q: want a duration like 7d or 36h, or a size like 10GB", Clip(s))
	}
	return Retain{Bytes: n * unit, Set: true}, nil
}

// MarshalText gives what ParseRetain reads, "" for the settings'.
func (r Retain) MarshalText() ([]byte, error) {
	switch {
	case !r.Set:
		return nil, nil
	case r.Time > 0:
		return []byte(r.Time.String()), nil
	}
	return strconv.AppendInt(nil, r.Bytes, 10), nil
}

// UnmarshalText implements encoding.TextUnmarshaler by ParseRetain.
func (r *Retain) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRetain(string(text))
	return err
}
