package access

import (
	"fmt"

	"zenith/internal/api"
)

// Method is how a client that is not let in by its account shows who it is, as a line of pg_hba.conf
// says.
type Method string

// The methods.
const (
	Peer  Method = "peer"          // it cannot: accounts are let in, through the unix socket, and nobody else
	Scram Method = "scram-sha-256" // by a password or a token, over TCP and over the unix socket
	Trust Method = "trust"         // over TCP it need not: whoever reaches the port is an admin. For loopback alone
)

// ParseMethod reads what a user writes for a method: peer, scram or trust.
func ParseMethod(s string) (Method, error) {
	switch s {
	case "peer", "trust":
		return Method(s), nil
	case "scram", string(Scram):
		return Scram, nil
	}
	return "", fmt.Errorf("%q: want peer, scram or trust", s)
}

// Principal is a client that was let in. The zero value may do nothing.
type Principal struct {
	Grant
	Name string // of the account, of the user, or the id of the token
	UID  int    // of the account at the other end of a unix socket; api.NoUID: there is none
	via  via
}

// via is how a principal was let in.
type via uint8

const (
	viaAccount via = iota
	viaTrust
	viaUser
	viaToken
)

// Policy says who is let in. The zero value lets in root, and the account with the UID 0 is the owner.
type Policy struct {
	OwnerUID int             // owner of the work directory
	Method   Method          // for clients that are let in by no account
	Accounts map[int]Account // by UID: those that are let in through the unix socket besides root and the owner
	Store    *Store          // users and tokens; nil: there are none
}

// Account is an account of this machine that is let in.
type Account struct {
	Name string
	Grant
}

// ByAccount gives the principal that an account of this machine is; false: it is not let in by that.
func (p *Policy) ByAccount(uid int) (Principal, bool) {
	switch {
	case uid == api.NoUID:
		return Principal{UID: api.NoUID}, false
	case uid == 0, uid == p.OwnerUID:
		return Principal{Grant: Grant{Role: Owner}, UID: uid}, true
	}
	a, found := p.Accounts[uid]
	return Principal{Grant: a.Grant, Name: a.Name, UID: uid}, found
}

// Trusted is who a client of the port of TCP is under the method Trust.
var Trusted = Principal{Grant: Grant{Role: Admin}, Name: "trust", UID: api.NoUID, via: viaTrust}

// Current gives what a principal that was let in may do now; false: it would not be let in any more.
func (p *Policy) Current(who Principal) (Principal, bool) {
	switch who.via {
	case viaAccount:
		return p.ByAccount(who.UID)
	case viaTrust:
		return who, p.Method == Trust
	}
	if p.Store == nil || p.Method == Peer {
		return Principal{UID: who.UID}, false
	}
	var ok bool
	who.Grant, ok = p.Store.current(who)
	return who, ok
}

// Passwords reports whether clients may show who they are by a password.
func (p *Policy) Passwords() bool { return p.Method == Scram && p.Store != nil }

// Same reports whether two principals are the same account, user or token. Of clients that need not show who they
// are nobody knows.
func (p Principal) Same(q Principal) bool {
	return p.via != viaTrust && p.via == q.via && p.Name == q.Name && p.UID == q.UID
}
