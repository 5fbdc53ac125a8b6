package access

import (
	"bytes"
	"crypto/hmac"

	"zenith/internal/api"
)

// Login gives the principal that a user name and a password are, for clients that show the password itself, as in HTTP.
// A token is the password of TokenUser. ErrDenied: it is nobody, or the policy lets nobody in by a password. The time that
// this takes does not depend on whether there is such a user.
func (p *Policy) Login(user, password string) (Principal, error) {
	if !p.Passwords() {
		return Principal{UID: api.NoUID}, ErrDenied
	}
	if user == TokenUser {
		user = UserOf(password) // one token to compare with instead of all of them
	}
	return p.Store.login(user, password)
}

func (s *Store) login(user, password string) (Principal, error) {
	var shown Verifier
	for _, one := range s.candidates(user) {
		if !bytes.Equal(shown.salt, one.verifier.salt) { // all tokens have the same, and to derive keys takes long
			var err error
			if shown, err = makeVerifier(password, one.verifier.salt); err != nil {
				return Principal{UID: api.NoUID}, ErrDenied
			}
		}
		if one.verifier.iters == iterations && hmac.Equal(shown.storedKey, one.verifier.storedKey) && one.who.Role != None {
			return one.who, nil
		}
	}
	return Principal{UID: api.NoUID}, ErrDenied
}
