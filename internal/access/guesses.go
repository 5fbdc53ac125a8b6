package access

import (
	"maps"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"zenith/internal/api"
)

// Guesses counts wrong passwords, and says who must wait before it may show another one. There are three
// counts, each with a number that is free and a time in which one more becomes free:
//
//	user from one origin     who guesses one user's password waits after a few of them
//	origin, all users        who tries one password with many names waits, too
//	user, all origins        many machines together guess slowly
//
// A user that was let in from an origin before is held to the first count only. So nobody locks
// a user out of the place that it always comes from, whatever happens elsewhere. Users that do not exist are counted as others
// are: a refusal does not tell who exists. Tokens are not counted: nobody guesses 256 random bits, and a program that
// goes on with a revoked one must not keep others out.
type Guesses struct {
	now func() time.Time

	mu       sync.Mutex          // guards what follows
	counts   map[guess]time.Time // when all guesses are free again
	familiar map[guess]struct{}  // users, and the origins from which they were let in
}

// guess is what is counted: passwords of a user, "" for any, from an origin, "" for any.
type guess struct {
	user   string
	origin Origin
}

// Origin is where a client comes from, as far as it can choose among many at no cost: an address of IPv4, a network of
// 64 bits of IPv6, or an account of this machine.
type Origin string

// OriginOf gives the origin of a client with an address, or with an account of this machine that is not api.NoUID.
func OriginOf(addr net.Addr, uid int) Origin {
	if uid != api.NoUID {
		return Origin("uid " + strconv.Itoa(uid))
	}
	from, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return Origin(addr.String())
	}
	ip := from.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return Origin(ip.String())
	}
	return Origin(netip.PrefixFrom(ip, 64).Masked().String())
}

// allowance is how many wrong passwords are free at first, and after which time one more is.
type allowance struct {
	free  int
	every time.Duration
}

var (
	userFromOrigin = allowance{10, 30 * time.Second}
	allOfOrigin    = allowance{100, time.Second}
	allOfUser      = allowance{100, time.Second}
)

// maxGuesses bounds the counts, and the places from where users were let in. Beyond it some are forgotten, whichever: who
// comes from so many places gains a few guesses with each.
const maxGuesses = 10000

// NewGuesses makes counts of no guesses.
func NewGuesses() *Guesses {
	return &Guesses{now: time.Now, counts: map[guess]time.Time{}, familiar: map[guess]struct{}{}}
}

// Wait gives how long the client must wait before it may show a password of the user; 0: it need not.
func (g *Guesses) Wait(user string, from Origin) time.Duration {
	if isTokenUser(user) {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	wait := g.waitLocked(guess{user, from}, userFromOrigin)
	if _, known := g.familiar[guess{user, from}]; !known {
		wait = max(wait, g.waitLocked(guess{"", from}, allOfOrigin), g.waitLocked(guess{user, ""}, allOfUser))
	}
	return wait
}

// waitLocked gives the time until one guess more is free.
func (g *Guesses) waitLocked(of guess, a allowance) time.Duration {
	free, counted := g.counts[of]
	if !counted {
		return 0
	}
	return max(free.Sub(g.now())-time.Duration(a.free-1)*a.every, 0)
}

// Wrong notes that the client has shown a wrong password.
func (g *Guesses) Wrong(user string, from Origin) {
	if isTokenUser(user) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.countLocked(guess{user, from}, userFromOrigin)
	g.countLocked(guess{"", from}, allOfOrigin)
	g.countLocked(guess{user, ""}, allOfUser)
}

func (g *Guesses) countLocked(of guess, a allowance) {
	now := g.now()
	if len(g.counts) >= maxGuesses {
		maps.DeleteFunc(g.counts, func(_ guess, free time.Time) bool { return !free.After(now) })
		forgetSome(g.counts)
	}
	from := g.counts[of]
	if from.Before(now) {
		from = now
	}
	g.counts[of] = from.Add(a.every)
	if most := now.Add(time.Duration(a.free) * a.every); g.counts[of].After(most) {
		g.counts[of] = most
	}
}

// Right notes that the client has shown the user's password.
func (g *Guesses) Right(user string, from Origin) {
	if isTokenUser(user) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.counts, guess{user, from})
	forgetSome(g.familiar)
	g.familiar[guess{user, from}] = struct{}{}
}

// forgetSome makes room in a map that is full: it forgets a quarter of what is there.
func forgetSome[V any](m map[guess]V) {
	if len(m) < maxGuesses {
		return
	}
	for of := range m {
		if len(m) <= maxGuesses*3/4 {
			return
		}
		delete(m, of)
	}
}
