package api_test

import (
	"strings"
	"testing"
	"time"

	"zenith/internal/api"
)

// TestTimes: times as PostgreSQL and people write them, read in Vienna, where it is an hour
// later than in UTC in winter and two in summer.
func TestTimes(t *testing.T) {
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 30, 16, 18, 26, 0, time.UTC).In(vienna)
	for _, test := range []struct {
		in   string
		want string // RFC 3339 in UTC, or what the error says
		zone bool   // was written
	}{
		{"2026-11-30 16:18:26.4+01", "2026-11-30T15:18:26.4Z", true},
		{"2026-11-30 16:18:26.400000 CET", "2026-11-30T15:18:26.4Z", true},
		{"2026-07-30 16:18:26.400 cest", "2026-07-30T14:18:26.4Z", true},
		{"2026-11-30 16:18:26 UTC", "2026-11-30T16:18:26Z", true},
		{"2026-11-30T16:18:26Z", "2026-11-30T16:18:26Z", true},
		{"2026-11-30T16:18:26-03:30", "2026-11-30T19:48:26Z", true},
		{"2026-11-30T16:18:26+0530", "2026-11-30T10:48:26Z", true},
		{"1880-11-30 16:18:26+01:05:21", "1880-11-30T15:13:05Z", true},
		{"2026-11-30  16:18", "2026-11-30T15:18:00Z", false},
		{"2026-11-30", "2026-11-29T23:00:00Z", false},
		{"2026-07-30", "2026-07-29T22:00:00Z", false},
		{"16:18", "2026-11-30T15:18:00Z", false},
		{"9:05:07.25", "2026-11-30T08:05:07.25Z", false},
		{"00:30Z", "2026-11-30T00:30:00Z", true},
		{"Yesterday 18:00", "2026-11-29T17:00:00Z", false},
		{"yesterday", "2026-11-28T23:00:00Z", false},
		{"today 9:00", "2026-11-30T08:00:00Z", false},
		{"today 01:00 +14", "2026-11-30T11:00:00Z", true}, // where it is December already
		{"2026-03-29 02:30", "no clock showed 2026-03-29 02:30:00: they went forward then (time zone Europe/Vienna)", false},
		{"2026-10-25 02:30", "clocks showed 2026-10-25 02:30:00 twice (time zone Europe/Vienna): write 2026-10-25 02:30:00+02:00 or 2026-10-25 02:30:00+01:00", false},
		{"2026-10-25 02:30 CEST", "2026-10-25T00:30:00Z", true},
		{"2026-10-25 02:30 CET", "2026-10-25T01:30:00Z", true},
		{"2026-02-30", "there is no day 2026-02-30", false},
		{"24:00", "there is no time of day 24:00:00", false},
		{"2026-11-30 12:60", "there is no time of day 12:60:00", false},
		{"16:18 PST", `the time zone "PST" is not known here: write it as +01 or Z`, true},
		{"2026-11-30Z", "is neither an LSN", false},
		{"tomorrow", "is neither an LSN", false},
		{"30.11.2026", "is neither an LSN", false},
	} {
		p, err := api.ParsePoint("main@"+test.in, now)
		got := p.Time.UTC().Format(time.RFC3339Nano)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, test.want) || err == nil && p.Zoneless == test.zone {
			t.Errorf("%s: got %s, zoneless %v; want %s", test.in, got, p.Zoneless, test.want)
		}
	}
}

// TestDayWithoutMidnight: a day begins when clocks go forward at its midnight.
func TestDayWithoutMidnight(t *testing.T) {
	beirut, err := time.LoadLocation("Asia/Beirut")
	if err != nil {
		t.Fatal(err)
	}
	p, err := api.ParsePoint("2026-03-29", time.Date(2026, 11, 30, 0, 0, 0, 0, beirut))
	if want := time.Date(2026, 3, 28, 22, 0, 0, 0, time.UTC); err != nil || !p.Time.Equal(want) {
		t.Errorf("got %v, %v; want %v", p, err, want)
	}
}
