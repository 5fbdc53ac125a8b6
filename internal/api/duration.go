package api

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// longUnits are the units of durations that time.ParseDuration does not have.
var longUnits = map[byte]time.Duration{'d': 24 * time.Hour, 'w': 7 * 24 * time.Hour}

// ParseAge reads a duration as Go writes it, and days and weeks besides: 15m, 1h30m, 7d, 1w2d12h.
// ok is false for anything else, a bare number included.
func ParseAge(s string) (d time.Duration, ok bool) {
	d, err := parseDuration(s)
	return d, err == nil && strings.Trim(s, "0123456789.") != ""
}

// parseDuration is time.ParseDuration without a sign, and with the longUnits before the others.
func parseDuration(s string) (time.Duration, error) {
	if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
		return 0, fmt.Errorf("duration %q: may not have a sign", s)
	}
	var sum time.Duration
	rest := s
	for {
		end := strings.IndexFunc(rest, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if end < 0 {
			break
		}
		unit, long := longUnits[rest[end]]
		if !long {
			break
		}
		n, err := strconv.ParseFloat(rest[:end], 64)
		if err != nil || n*float64(unit)+float64(sum) >= math.MaxInt64 {
			return 0, fmt.Errorf("duration %q: want a number before %q", s, rest[end:end+1])
		}
		sum += time.Duration(n * float64(unit))
		if rest = rest[end+1:]; rest == "" {
			return sum, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err == nil && sum > math.MaxInt64-d {
		err = fmt.Errorf("duration %q: is too long", s)
	}
	return sum + d, err
}
