package access

import (
	"fmt"
	"net"
	"testing"
	"time"

	"zenith/internal/api"
)

// clockwork is a Guesses whose time a test moves.
func clockwork() (*Guesses, *time.Time) {
	g, now := NewGuesses(), time.Unix(1e9, 0)
	g.now = func() time.Time { return now }
	return g, &now
}

// TestGuessingSlowsDown: who guesses a user's password has a few tries, then one in a while, and all of them again
// after that it was quiet.
func TestGuessingSlowsDown(t *testing.T) {
	g, now := clockwork()
	tries := func(user string, from Origin, within time.Duration) (n int) {
		for end := now.Add(within); !now.After(end); {
			if wait := g.Wait(user, from); wait > 0 {
				*now = now.Add(wait)
				continue
			}
			g.Wrong(user, from)
			n++
		}
		return n
	}
	if n := tries("ann", "a", time.Hour); n < userFromOrigin.free || n > userFromOrigin.free+121 {
		t.Errorf("%d tries in an hour", n)
	}
	if wait := g.Wait("bob", "a"); wait != 0 {
		t.Errorf("another user of that origin waits %v", wait)
	}
	if wait := g.Wait("ann", "b"); wait != 0 {
		t.Errorf("the user waits %v elsewhere", wait)
	}
	*now = now.Add(time.Hour)
	if n := tries("ann", "a", 0); n != userFromOrigin.free {
		t.Errorf("%d tries at once after an hour", n)
	}
	g.Right("ann", "a")
	if wait := g.Wait("ann", "a"); wait != 0 {
		t.Errorf("after the right one it waits %v", wait)
	}
}

// TestNobodyIsLockedOut: a user goes on from where it came from before, while strangers guess its password from
// everywhere, and while somebody at the same address tries all names there are.
func TestNobodyIsLockedOut(t *testing.T) {
	g, _ := clockwork()
	g.Right("ann", "home")
	for n := range 1000 {
		g.Wrong("ann", Origin(fmt.Sprint("stranger ", n)))
		g.Wrong(fmt.Sprint("name ", n), "home")
	}
	if wait := g.Wait("ann", "home"); wait != 0 {
		t.Errorf("it waits %v", wait)
	}
	if g.Wait("ann", "elsewhere") == 0 || g.Wait("bob", "home") == 0 {
		t.Error("many origins, or many names, guess without end")
	}
	for range 1000 {
		g.Wrong(TokenUser, "home")
		g.Wrong(tokenPrefix+"1", "home")
	}
	if g.Wait(TokenUser, "home") != 0 || g.Wait(tokenPrefix+"1", "home") != 0 {
		t.Error("tokens wait")
	}
}

// TestGuessesAreBounded: what is remembered does not grow with the number of origins, and what is free again goes first.
func TestGuessesAreBounded(t *testing.T) {
	g, now := clockwork()
	for n := range 5 * maxGuesses {
		g.Wrong("ann", Origin(fmt.Sprint(n)))
		g.Right("bob", Origin(fmt.Sprint(n)))
	}
	if len(g.counts) > maxGuesses || len(g.familiar) > maxGuesses {
		t.Errorf("%d counts, %d places", len(g.counts), len(g.familiar))
	}
	*now = now.Add(24 * time.Hour)
	for n := len(g.counts); n <= maxGuesses; n++ {
		g.Wrong("eve", Origin(fmt.Sprint(n)))
	}
	if _, there := g.counts[guess{"eve", Origin(fmt.Sprint(maxGuesses))}]; !there || g.Wait("ann", "1") != 0 {
		t.Error("what was counted last is forgotten")
	}
}

func TestOrigins(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }
	for _, tt := range []struct {
		addr net.Addr
		uid  int
		want Origin
	}{
		{tcp("192.0.2.1"), api.NoUID, "192.0.2.1"},
		{tcp("::ffff:192.0.2.1"), api.NoUID, "192.0.2.1"},
		{tcp("2001:db8::1:2:3:4"), api.NoUID, "2001:db8::/64"},
		{tcp("2001:db8::5:6:7:8"), api.NoUID, "2001:db8::/64"},
		{&net.UnixAddr{}, 1000, "uid 1000"},
	} {
		if got := OriginOf(tt.addr, tt.uid); got != tt.want {
			t.Errorf("%v, %d: %q, want %q", tt.addr, tt.uid, got, tt.want)
		}
	}
}
