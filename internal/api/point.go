package api

import (
	"fmt"
	"strings"
	"time"

	"zenith/internal/pg"
)

// Point names a state of a branch: what it is now, or what it was at an LSN or a time.
type Point struct {
	Name string    // of the branch, or the id of its timeline
	LSN  pg.LSN    // of NAME@LSN, else 0
	Time time.Time // of NAME@TIME, else zero
}

// Head reports whether the point is the branch's head, which moves.
func (p Point) Head() bool { return p.LSN == 0 && p.Time.IsZero() }

// String gives what ParsePoint reads, whatever the clock says then: an age has become a time.
func (p Point) String() string {
	if p.Head() {
		return p.Name
	}
	return p.Name + "@" + p.Moment()
}

// Moment gives what stands behind the "@", "" for a head.
func (p Point) Moment() string {
	switch {
	case p.LSN != 0:
		return p.LSN.String()
	case !p.Time.IsZero():
		return p.Time.Format(time.RFC3339Nano)
	}
	return ""
}

// moment is a form of what stands behind the "@" of a point.
type moment struct {
	what    string // for messages
	example string
	// read sets the LSN or Time of p. ok is false if s has another form, err says what is wrong
	// with an s that can have no other.
	read func(p *Point, s string, now time.Time) (ok bool, err error)
}

// moments are tried one after the other.
var moments = []moment{
	{"an age", "-15m", readAge},
	{"a time", "2026-11-22T10:00:00Z", readTime},
	{"an LSN", "0/16B3748", readLSN},
}

// ParsePoint reads NAME, NAME@LSN or NAME@TIME, where TIME is RFC 3339 or an age (-15m, -2d),
// which counts from now.
func ParsePoint(s string, now time.Time) (Point, error) {
	name, at, found := SplitPoint(s)
	p := Point{Name: name}
	if err := CheckName(name); err != nil || !found {
		return p, err
	}
	for _, m := range moments {
		ok, err := m.read(&p, at, now)
		if err != nil {
			return Point{}, fmt.Errorf("point %s: %w", s, err)
		}
		if ok {
			return p, nil
		}
	}
	return Point{}, Errorf(ErrBadArgument, "point %s: %q is %s", s, at, noMoment())
}

// noMoment says what the text behind an "@" could have been: "neither an LSN (0/16B3748), a time ... nor an age (-15m)".
func noMoment() string {
	text := "neither "
	for i := len(moments) - 1; i >= 0; i-- {
		switch i {
		case len(moments) - 1:
		case 0:
			text += " nor "
		default:
			text += ", "
		}
		text += moments[i].what + " (" + moments[i].example + ")"
	}
	return text
}

// SplitPoint cuts a point at its last "@", and understands neither part. A point with an "@" is
// a state that does not move.
func SplitPoint(s string) (name, at string, found bool) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// readAge reads a negative duration: how long before now.
func readAge(p *Point, s string, now time.Time) (bool, error) {
	text, found := strings.CutPrefix(s, "-")
	if !found {
		return false, nil
	}
	age, err := parseDuration(text)
	if err != nil {
		return true, Errorf(ErrBadArgument, "%q is not an age such as -15m or -2d", s)
	}
	p.Time = now.Add(-age)
	return true, nil
}

// readTime reads RFC 3339.
func readTime(p *Point, s string, _ time.Time) (ok bool, err error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return false, nil //nolint:nilerr // it may have another form
	}
	p.Time = t
	return true, nil
}

// readLSN reads what pg.ParseLSN does.
func readLSN(p *Point, s string, _ time.Time) (ok bool, err error) {
	lsn, err := pg.ParseLSN(s)
	if err != nil {
		return false, nil //nolint:nilerr // it may have another form
	}
	if lsn == 0 {
		return true, Errorf(ErrOutOfRange, "there is nothing at LSN 0/0")
	}
	p.LSN = lsn
	return true, nil
}

// maxNameLength bounds branch names: they are file names in the tree of all states.
const maxNameLength = 200

// CheckName refuses names of branches that could not be a file name in the tree of all states, or
// would mean something else in a point.
func CheckName(name string) error {
	bad := func(why string) error {
		return Errorf(ErrBadArgument, "branch name %q: %s", name, why)
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
