package api_test

import (
	"errors"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
)

var now = time.Date(2026, 11, 30, 16, 18, 26, 400e6, time.UTC)

func TestParsePoint(t *testing.T) {
	ago := func(d time.Duration) api.Point { return api.Point{Name: "main", Time: now.Add(-d)} }
	at := func(l pg.LSN) api.Point { return api.Point{Name: "main", LSN: l} }
	for in, want := range map[string]api.Point{
		"main":                           {Name: "main"},
		"0/16B3748":                      at(0x16B3748),
		"A_16B3748":                      at(0xA_016B3748),
		"a/b":                            {Name: "a/b"},
		"a_b":                            {Name: "a_b"},
		"0123456789abcdef":               at(0x0123456789abcdef),
		"@0/16B3748":                     at(0x16B3748),
		"-15m":                           ago(15 * time.Minute),
		"@-1w":                           ago(7 * 24 * time.Hour),
		"-1w2d1h30m":                     ago(9*24*time.Hour + 90*time.Minute),
		"feature/x@-15m":                 {Name: "feature/x", Time: now.Add(-15 * time.Minute)},
		"15":                             {Name: "15"},
		"2fix":                           {Name: "2fix"},
		"yesterday":                      {Name: "yesterday"},
		"my branch":                      {Name: "my branch"},
		"main@0/16B3748":                 at(0x16B3748),
		"main@0_16B3748":                 at(0x16B3748),
		"main@00000001016B3748":          at(0x1_016B3748),
		"main@2026-11-22T10:00:00Z":      {Name: "main", Time: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)},
		"main@2026-11-22T10:00:00.5Z":    {Name: "main", Time: time.Date(2026, 11, 22, 10, 0, 0, 500e6, time.UTC)},
		"main@2026-11-22T11:00:00+01:00": {Name: "main", Time: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)},
		"main@-15m":                      ago(15 * time.Minute),
		"main@-1h30m":                    ago(90 * time.Minute),
		"main@-2d":                       ago(48 * time.Hour),
		"main@-1.5d":                     ago(36 * time.Hour),
		"main@-0":                        ago(0),
	} {
		got, err := api.ParsePoint(in, now)
		if err != nil || got.Name != want.Name || got.LSN != want.LSN || !got.Time.Equal(want.Time) {
			t.Errorf("%s: got %+v, %v, want %+v", in, got, err, want)
		}
		if head := want.Head(); got.Head() != head {
			t.Errorf("%s: head %v, want %v", in, got.Head(), head)
		}
		again, err := api.ParsePoint(got.String(), now.Add(time.Hour))
		if err != nil || again.Name != got.Name || again.LSN != got.LSN || !again.Time.Equal(got.Time) {
			t.Errorf("%s: its text %s means %+v, %v, want %+v", in, got, again, err, got)
		}
	}
}

func TestParsePointRefuses(t *testing.T) {
	const neither = "is neither an LSN (0/16B3748), a time (2026-11-22 10:00) nor an age (-15m)"
	for in, want := range map[string]struct {
		kind error
		msg  string
	}{
		"":           {api.ErrBadArgument, "the point is empty: want NAME, NAME@LSN or NAME@TIME"},
		"@":          {api.ErrBadArgument, `point @: "" ` + neither},
		"-x":         {api.ErrBadArgument, `point -x: "-x" is not an age such as -15m or -2d`},
		"-x@0/1":     {api.ErrBadArgument, `branch name "-x": may not begin with -`},
		"a@b@0/1":    {api.ErrBadArgument, `branch name "a@b": may not hold blanks, control characters or any of @ ~ ^ : ? * [ \`},
		"main@":      {api.ErrBadArgument, `point main@: "" ` + neither},
		"main@x":     {api.ErrBadArgument, `point main@x: "x" ` + neither},
		"main@15m":   {api.ErrBadArgument, `point main@15m: "15m" ` + neither},
		"main@0/0":   {api.ErrOutOfRange, "point main@0/0: there is nothing at LSN 0/0"},
		"main@-":     {api.ErrBadArgument, `point main@-: "-" is not an age such as -15m or -2d`},
		"main@--5m":  {api.ErrBadArgument, `point main@--5m: "--5m" is not an age such as -15m or -2d`},
		"main@-+5m":  {api.ErrBadArgument, `point main@-+5m: "-+5m" is not an age such as -15m or -2d`},
		"main@-1e9d": {api.ErrBadArgument, `point main@-1e9d: "-1e9d" is not an age such as -15m or -2d`},
		"main@-NaNd": {api.ErrBadArgument, `point main@-NaNd: "-NaNd" is not an age such as -15m or -2d`},
		"main@-999999999999d": {api.ErrBadArgument,
			`point main@-999999999999d: "-999999999999d" is not an age such as -15m or -2d`},
	} {
		if got, err := api.ParsePoint(in, now); !errors.Is(err, want.kind) || err.Error() != want.msg {
			t.Errorf("%q: got %+v, %v\nwant %v", in, got, err, want.msg)
		}
	}
}

func TestParseAge(t *testing.T) {
	for in, want := range map[string]time.Duration{"15m": 15 * time.Minute, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "0s": 0, "2w": 336 * time.Hour, "1d12h": 36 * time.Hour} {
		if got, ok := api.ParseAge(in); !ok || got != want {
			t.Errorf("%s: got %v, %v, want %v", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "0", "15", "1.5", "-15m", "+15m", "-7d", "d", "7 d", "soon", "106752d", "106751d24h", "1h1d", "1d5", "15250w9d"} {
		if got, ok := api.ParseAge(in); ok {
			t.Errorf("%q was read as %v", in, got)
		}
	}
}

func FuzzParsePoint(f *testing.F) {
	for _, s := range []string{"main", "main@0/16B3748", "main@-15m", "main@2026-11-22T10:00:00Z", "main@2026-11-30 16:18:26.4+01", "16:18", "yesterday 18:00 CEST", "@2026-03-29 02:30", "a/b@today"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := api.ParsePoint(s, now)
		if err != nil {
			return
		}
		if again, err := api.ParsePoint(p.String(), now); err != nil || again.Name != p.Name || again.LSN != p.LSN || !again.Time.Equal(p.Time) {
			t.Errorf("%q: %v means %+v, %v", s, p, again, err)
		}
	})
}
