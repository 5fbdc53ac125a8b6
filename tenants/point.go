package tenants

import (
	"strconv"
	"strings"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// point is a parsed NAME, NAME@LSN or NAME@TIME.
type point struct {
	name string
	lsn  pg.LSN    // set for NAME@LSN
	time time.Time // set for NAME@TIME
}

// head reports whether the point is a branch's head.
func (p point) head() bool { return p.lsn == 0 && p.time.IsZero() }

// parsePoint reads a point. What stands behind the last "@" is an LSN, an RFC 3339
// time or an age (-15m), which counts from now.
func parsePoint(s string, now time.Time) (point, error) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return point{name: s}, checkName(s)
	}
	p, at := point{name: s[:i]}, s[i+1:]
	if err := checkName(p.name); err != nil {
		return point{}, err
	}
	if strings.HasPrefix(at, "-") {
		age, err := parseAge(at)
		if err != nil {
			return point{}, api.Errorf(api.ErrBadArgument, "point %s: %q is not an age such as -15m or -2d", s, at)
		}
		p.time = now.Add(age)
		return p, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, at); err == nil {
		p.time = t
		return p, nil
	}
	lsn, err := pg.ParseLSN(at)
	if err != nil {
		return point{}, api.Errorf(api.ErrBadArgument,
			"point %s: %q is neither an LSN (0/16B3748), a time (2026-11-22T10:00:00Z) nor an age (-15m)", s, at)
	}
	if lsn == 0 {
		return point{}, api.Errorf(api.ErrOutOfRange, "point %s: there is nothing at LSN 0/0", s)
	}
	p.lsn = lsn
	return p, nil
}

// parseAge is time.ParseDuration, and days: -2d.
func parseAge(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		return time.Duration(n * float64(24*time.Hour)), err
	}
	return time.ParseDuration(s)
}

// maxNameLength bounds branch names: they are file names in the tree.
const maxNameLength = 200

// checkName refuses names that could not be a file name in the tree, or would read
// as something else in a point.
func checkName(name string) error {
	bad := func(why string) error {
		return api.Errorf(api.ErrBadArgument, "branch name %q: %s", name, why)
	}
	switch {
	case name == "":
		return bad("is empty")
	case len(name) > maxNameLength:
		return bad("is too long")
	case name == "." || name == "..":
		return bad("is not a name")
	case strings.ContainsAny(name, "/@\x00\n\r"):
		return bad("may not hold / @ or line ends")
	case strings.HasPrefix(name, "-"):
		return bad("may not begin with -")
	}
	return nil
}
