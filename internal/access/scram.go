package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"

	"crypto/tls"

	"github.com/xdg-go/scram"

	"zenith/internal/api"
)

// The SASL mechanisms.
const (
	MechanismScram     = "SCRAM-SHA-256"
	MechanismScramPlus = "SCRAM-SHA-256-PLUS" // with channel binding: over TLS only
)

// ErrDenied is returned when a client does not know the password, or there is no such user: the two look alike.
var ErrDenied = errors.New("password authentication failed")

// Binding is what ties the conversation of SCRAM to the TLS connection that it goes through, so that nobody in
// the middle can pass it on: the hash of the server's certificate (tls-server-end-point). The zero value is for
// connections without TLS.
type Binding struct{ scram scram.ChannelBinding }

// NewBinding gives the binding for a certificate of the server. A certificate whose signature has no hash, as Ed25519,
// has none.
func NewBinding(cert *x509.Certificate) Binding {
	cb, err := scram.NewTLSServerEndpointBinding(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}})
	if err != nil {
		return Binding{}
	}
	return Binding{cb}
}

// Mechanisms lists what the server offers, the best one first.
func (b Binding) Mechanisms() []string {
	if b.scram.IsSupported() {
		return []string{MechanismScramPlus, MechanismScram}
	}
	return []string{MechanismScram}
}

// Conversation is a client's attempt to show that it knows a password.
//
// The user token has many passwords, and the client says which one it has in its last message only, by a
// proof. So the proof is compared with each of them, and the conversation is had again, in memory, with the one that it
// fits.
type Conversation struct {
	candidates []candidate
	binding    Binding
	nonce      string
	first      string // the client's first message
	answer     string // to it
}

// candidate is somebody who the client may be.
type candidate struct {
	who      Principal
	verifier Verifier
}

// Begin takes the client's first message, by one of the mechanisms, and gives the answer. user is the one of the
// startup message: what the client calls itself in the first message does not count, as in PostgreSQL.
func (s *Store) Begin(user, mechanism, first string, b Binding) (*Conversation, string, error) {
	bound := strings.HasPrefix(first, "p=")
	if bound != (mechanism == MechanismScramPlus) || mechanism == MechanismScramPlus && !b.scram.IsSupported() {
		return nil, "", api.Errorf(api.ErrProtocol, "malformed SCRAM message: its channel binding does not go with the mechanism %q", api.Clip(mechanism))
	}
	c := &Conversation{candidates: s.candidates(user), binding: b, first: first,
		nonce: base64.StdEncoding.EncodeToString(randomBytes(18))}
	var err error
	if _, c.answer, err = c.replay(c.candidates[0].verifier); err != nil {
		return nil, "", api.Errorf(api.ErrProtocol, "malformed SCRAM message: %v", err)
	}
	return c, c.answer, nil
}

// replay has the client's first message answered.
func (c *Conversation) replay(v Verifier) (*scram.ServerConversation, string, error) {
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return v.credentials(), nil })
	if err != nil {
		return nil, "", err
	}
	server.WithNonceGenerator(func() string { return c.nonce })
	conv := server.NewConversation()
	if c.binding.scram.IsSupported() {
		conv = server.NewConversationWithChannelBinding(c.binding.scram)
	}
	answer, err := conv.Step(c.first)
	return conv, answer, err
}

// Finish takes the client's last message, and gives who the client is, and the answer that shows the client that
// the server knew its password. ErrDenied: it is nobody.
func (c *Conversation) Finish(last string) (Principal, string, error) {
	one, found := c.find(last)
	if !found || one.who.Role == None {
		return Principal{}, "", ErrDenied
	}
	conv, _, err := c.replay(one.verifier)
	if err != nil {
		return Principal{}, "", err
	}
	answer, err := conv.Step(last)
	if err != nil || !conv.Valid() {
		return Principal{}, "", ErrDenied
	}
	return one.who, answer, nil
}

// find gives the candidate whose password the proof in the client's last message fits. Whether the rest of the
// message is as it must be is not looked at.
func (c *Conversation) find(last string) (candidate, bool) {
	bare, encoded, found := strings.Cut(last, ",p=")
	proof, err := base64.StdEncoding.DecodeString(encoded)
	header := strings.SplitN(c.first, ",", 3) // gs2-cbind-flag, authzid, client-first-message-bare
	if !found || err != nil || len(proof) != keySize || len(header) != 3 {
		return candidate{}, false
	}
	message := []byte(header[2] + "," + c.answer + "," + bare)
	for _, one := range c.candidates {
		if one.verifier.fits(message, proof) {
			return one, true
		}
	}
	return candidate{}, false
}

// candidates gives all whose password a user's may be: at least one, if only one that nobody is.
func (s *Store) candidates(user string) (list []candidate) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if id, single := strings.CutPrefix(user, tokenPrefix); single {
		list = s.appendToken(list, id)
	} else if user == TokenUser {
		for id := range s.file.Tokens {
			list = s.appendToken(list, id)
		}
	}
	if len(list) == 0 && isTokenUser(user) {
		list = []candidate{{verifier: nobodys(s.file.TokenSalt)}}
	}
	if len(list) > 0 {
		return list
	}
	if r, there := s.file.Users[user]; there && !r.expired() {
		return []candidate{{Principal{Grant: r.Grant, Name: user, UID: api.NoUID, via: viaUser}, r.Verifier}}
	}
	mac := hmac.New(sha256.New, s.file.Mock) // scram_mock_salt: the same each time, so that nobody learns who exists
	mac.Write([]byte(user))
	return []candidate{{verifier: nobodys(mac.Sum(nil)[:saltSize])}}
}

// appendToken adds the token of an id, if there is one and it has not expired.
func (s *Store) appendToken(list []candidate, id string) []candidate {
	r, there := s.file.Tokens[id]
	if !there || r.expired() {
		return list
	}
	return append(list, candidate{Principal{Grant: r.Grant, Name: id, UID: api.NoUID, via: viaToken}, r.Verifier})
}

// ByName gives the user of a name, who has shown by other means than a password that it is its; false: there is
// none.
func (s *Store) ByName(name string) (Principal, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, there := s.file.Users[name]
	return Principal{Grant: r.Grant, Name: name, UID: api.NoUID, via: viaUser}, there && !r.expired()
}

// nobodys is a verifier that goes with no password.
func nobodys(salt []byte) Verifier {
	return Verifier{salt: salt, iters: iterations, storedKey: randomBytes(keySize), serverKey: randomBytes(keySize)}
}
