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

	Zoneless bool // Time was written without a zone: it is in that of the now that ParsePoint got
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
		t := p.Time
		if _, offset := t.Zone(); offset%60 != 0 { // RFC 3339 has no seconds in an offset
			t = t.UTC()
		}
		return t.Format(time.RFC3339Nano)
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
	{"a time", "2026-11-22 10:00", readTime},
	{"an LSN", "0/16B3748", readLSN},
}

// ParsePoint reads NAME, NAME@LSN or NAME@TIME. TIME is what readTime reads, in now's zone if it
// has none of its own, or an age (-15m, -2d), which counts from now. NAME@ may be left out where
// what follows can be no name: then the branch is MainBranch.
//
// The name is not one that CheckName allows, necessarily: older branches may have others.
func ParsePoint(s string, now time.Time) (Point, error) {
	if s == "" {
		return Point{}, Errorf(ErrBadArgument, "the point is empty: want NAME, NAME@LSN or NAME@TIME")
	}
	name, at, found := SplitPoint(s)
	p := Point{Name: name}
	if strings.HasPrefix(name, "-") || strings.Contains(name, "@") {
		return Point{}, CheckName(name)
	}
	if !found {
		return p, nil
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

// SplitPoint cuts a point at its last "@", and understands neither part. found reports whether
// it is a state that does not move. Where the name was left out it is MainBranch.
func SplitPoint(s string) (name, at string, found bool) {
	i := strings.LastIndexByte(s, '@')
	switch {
	case i > 0:
		return s[:i], s[i+1:], true
	case i == 0:
		return MainBranch, s[1:], true
	case isBareMoment(s):
		return MainBranch, s, true
	}
	return s, "", false
}

// FullPoint gives a point with its name, if that was left out.
func FullPoint(s string) string {
	if name, at, found := SplitPoint(s); found {
		return name + "@" + at
	}
	return s
}

// isBareMoment reports whether s, which has no "@", is a moment of MainBranch and not a name.
func isBareMoment(s string) bool {
	if strings.HasPrefix(s, "-") {
		return true
	}
	if _, ok := scanTime(s); ok {
		return strings.ContainsAny(s, "0123456789") // "yesterday" alone is a name
	}
	_, err := pg.ParseLSN(s)
	return err == nil && isPlainLSN(s)
}

// isPlainLSN reports whether an LSN is written in such a way that it is not a name as well: by
// 16 hex digits, or as PostgreSQL prints it. "a/b" and "bad_cafe" are names.
func isPlainLSN(s string) bool {
	return len(s) == 16 && !strings.ContainsAny(s, "/_") || s[0] >= '0' && s[0] <= '9' || !strings.ContainsAny(s, "abcdef")
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
