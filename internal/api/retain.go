package api

import (
	"math"
	"strconv"
	"strings"
)

// byteUnits are the suffixes of sizes, as PostgreSQL's settings have them (powers of 1024).
var byteUnits = map[string]int64{"": 1, "b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}

// ParseRetain reads what gc is to leave: a duration (90s, 15m, 36h, 7d, 1w) or bytes of WAL (512MB,
// 10GB). Both need a unit: "5" may have been meant as days.
func ParseRetain(s string) (Retain, error) {
	if d, ok := ParseAge(s); ok {
		return Retain{Time: d, Set: true}, nil
	}
	n, ok := ParseSize(s)
	if !ok {
		return Retain{}, Errorf(ErrBadArgument, "retain %q: want a duration like 7d or 36h, or a size like 10GB", Clip(s))
	}
	if n != 0 && strings.Trim(s, "0123456789") == "" {
		return Retain{}, Errorf(ErrBadArgument, "retain %[1]s: of what? want a unit: %[1]sd, %[1]sh, %[1]sGB, %[1]sMB, %[1]sB", Clip(s))
	}
	return Retain{Bytes: n, Set: true}, nil
}

// ParseSize reads a number of bytes as PostgreSQL's settings have it: 512MB, 10GB, 1000000.
func ParseSize(s string) (n int64, ok bool) {
	digits := strings.TrimRight(s, "bBkKmMgGtT")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, known := byteUnits[strings.ToLower(s[len(digits):])]
	if err != nil || n < 0 || !known || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

// MarshalText gives what ParseRetain reads, "" for the settings'.
func (r Retain) MarshalText() ([]byte, error) {
	switch {
	case !r.Set:
		return nil, nil
	case r.Time > 0:
		return []byte(r.Time.String()), nil
	}
	return append(strconv.AppendInt(nil, r.Bytes, 10), 'B'), nil
}

// UnmarshalText implements encoding.TextUnmarshaler by ParseRetain.
func (r *Retain) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*r = Retain{}
		return nil
	}
	*r, err = ParseRetain(string(text))
	return err
}
