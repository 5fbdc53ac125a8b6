package api

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// timeForm is how PostgreSQL and people write a time: a day, a time of day, or both, and perhaps
// the zone.
//
//	2026-11-30   today   yesterday
//	16:18   16:18:26.4
//	2026-11-30T16:18:26Z   2026-11-30 16:18:26.4+01   yesterday 18:00 UTC
var timeForm = regexp.MustCompile(`(?i)^(\d{4}-\d{2}-\d{2}|today|yesterday)?` +
	`(?:(t| +|^)(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,9})?)?(?: *(z|[a-z]{3,5}|[+-]\d{2}(?::?\d{2}(?::?\d{2})?)?))?)?$`)

// writtenTime is a time as it was written.
type writtenTime struct {
	day                  string // "": today
	hour, minute, second int
	nanosecond           int
	zone                 string // "": that of the machine
	onlyDay              bool   // no time of day
}

// scanTime takes a time apart. ok is false if s has another form.
func scanTime(s string) (w writtenTime, ok bool) {
	m := timeForm.FindStringSubmatch(s)
	if m == nil || m[1] == "" && m[3] == "" {
		return w, false
	}
	w = writtenTime{day: strings.ToLower(m[1]), zone: strings.ToUpper(m[7]), onlyDay: m[3] == ""}
	w.hour, w.minute, w.second = number(m[3]), number(m[4]), number(m[5])
	if m[6] != "" {
		w.nanosecond = number((m[6][1:] + "000000000")[:9])
	}
	return w, true
}

// number reads decimal digits; none are 0.
func number(digits string) int {
	n, _ := strconv.Atoi(digits) // at most nine digits: the form says so
	return n
}

// readTime reads a time. Without a zone it is in now's.
func readTime(p *Point, s string, now time.Time) (ok bool, err error) {
	w, ok := scanTime(s)
	if !ok {
		return false, nil
	}
	if p.Time, err = w.time(now); err != nil {
		return true, err
	}
	p.Zoneless = w.zone == ""
	return true, nil
}

// time gives the time that was meant.
func (w writtenTime) time(now time.Time) (time.Time, error) {
	if w.hour > 23 || w.minute > 59 || w.second > 59 {
		return time.Time{}, Errorf(ErrBadArgument, "there is no time of day %02d:%02d:%02d", w.hour, w.minute, w.second)
	}
	zone := offsetZone(w.zone)
	if zone != nil {
		wall, err := w.wall(now.In(zone))
		return time.Date(wall.Year(), wall.Month(), wall.Day(), w.hour, w.minute, w.second, w.nanosecond, zone), err
	}
	zone = now.Location()
	wall, err := w.wall(now)
	if err != nil {
		return wall, err
	}
	return w.choose(wall, zone)
}

// wall gives what a clock on the wall showed, as if in UTC. now is in the zone of that clock.
func (w writtenTime) wall(now time.Time) (time.Time, error) {
	day := time.Date(now.Year(), now.Month(), now.Day(), w.hour, w.minute, w.second, w.nanosecond, time.UTC)
	switch w.day {
	case "", "today":
		return day, nil
	case "yesterday":
		return day.AddDate(0, 0, -1), nil
	}
	date, err := time.Parse(time.DateOnly, w.day)
	if err != nil {
		return date, Errorf(ErrBadArgument, "there is no day %s", w.day)
	}
	return time.Date(date.Year(), date.Month(), date.Day(), w.hour, w.minute, w.second, w.nanosecond, time.UTC), nil
}

// choose gives the time at which a clock in zone shows wall. Where clocks go forward there may be
// none, where they go back there may be two: the zone as it was written, CET or CEST, says which.
func (w writtenTime) choose(wall time.Time, zone *time.Location) (time.Time, error) {
	var found []time.Time
	for _, near := range [...]time.Duration{-24 * time.Hour, 24 * time.Hour} {
		name, offset := wall.Add(near).In(zone).Zone()
		t := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		_, really := t.Zone()
		if really != offset || len(found) > 0 && found[0].Equal(t) || w.zone != "" && !strings.EqualFold(name, w.zone) {
			continue
		}
		found = append(found, t)
	}
	switch {
	case len(found) == 1 || len(found) == 2 && w.onlyDay:
		return found[0], nil
	case len(found) == 2:
		return time.Time{}, Errorf(ErrBadArgument, "clocks showed %s twice (time zone %s): write %s or %s",
			wall.Format(time.DateTime), zone, found[0].Format(dateTimeZone), found[1].Format(dateTimeZone))
	case w.zone != "":
		return time.Time{}, Errorf(ErrBadArgument, "the time zone %q is not known here: write it as +01 or Z", w.zone)
	case w.onlyDay: // it began when the clocks went forward
		_, offset := wall.Add(-24 * time.Hour).In(zone).Zone()
		return wall.Add(-time.Duration(offset) * time.Second).In(zone), nil
	}
	return time.Time{}, Errorf(ErrBadArgument, "no clock showed %s: they went forward then (time zone %s)", wall.Format(time.DateTime), zone)
}

// dateTimeZone is time.DateTime with an offset.
const dateTimeZone = "2006-01-02 15:04:05Z07:00"

// offsetZone gives the zone that an offset from UTC is, +01 or -03:30 or Z; nil if s is none.
func offsetZone(s string) *time.Location {
	switch {
	case s == "Z" || s == "UTC" || s == "GMT":
		return time.UTC
	case s == "" || s[0] != '+' && s[0] != '-':
		return nil
	}
	digits := strings.ReplaceAll(s[1:], ":", "") + "0000"
	offset := number(digits[:2])*3600 + number(digits[2:4])*60 + number(digits[4:6])
	if s[0] == '-' {
		offset = -offset
	}
	return time.FixedZone("", offset)
}
