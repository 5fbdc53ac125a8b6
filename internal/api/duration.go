package api

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// longUnits are the units of durations that time.ParseDuration does not have.
var longUnits = map[string]time.Duration{"d": 24 * time.Hour}

// ParseAge reads a duration as Go writes it, and days besides: 15m, 1h30m, 7d. ok is false for
// anything else, a bare number included.
func ParseAge(s string) (d time.Duration, ok bool) {
	d, err := parseDuration(s)
	return d, err == nil && strings.Trim(s, "0123456789.") != ""
}

// parseDuration is time.ParseDuration without a sign, and a number of one of the longUnits.
func parseDuration(s string) (time.Duration, error) {
	if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
		return 0, fmt.Errorf("duration %q: may not have a sign", s)
	}
	for suffix, unit := range longUnits {
		digits, found := strings.CutSuffix(s, suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil || strings.Trim(digits, "0123456789.") != "" || n*float64(unit) >= math.MaxInt64 {
			return 0, fmt.Errorf("duration %q: want a number before %q", s, suffix)
		}
		return time.Duration(n * float64(unit)), nil
	}
	return time.ParseDuration(s)
}
