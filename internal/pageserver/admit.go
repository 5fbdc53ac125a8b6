package pageserver

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/access"
	"zenith/internal/api"
)

// maxAuthMessage is how long a SASL message of a client may be that was not let in yet, in bytes. PostgreSQL takes
// 64 KiB (PG_MAX_AUTH_TOKEN_LENGTH), but those of SCRAM have a few hundred bytes, and for the user token the last one is
// hashed once for every token there is.
const maxAuthMessage = 2 << 10

// admit finds out who the client is, as the policy of the server says, and lets it in or not: an account of this
// machine by the socket, a certificate by TLS, or a password by SCRAM.
func (c *conn) admit(user string) error {
	if err := c.raw.SetReadDeadline(time.Now().Add(c.srv.opt.AuthTimeout)); err != nil {
		return err
	}
	policy := c.srv.policy.Load()
	uid := access.PeerUID(c.raw)
	who, ok := policy.ByAccount(uid)
	if !ok && uid == api.NoUID {
		who, ok = c.byPort(policy, user)
	}
	var err error
	switch {
	case ok:
	case uid == api.NoUID && policy.Method == access.Scram && c.needsTLS():
		err = api.Errorf(errNotAdmitted, "connections over TCP must be encrypted here: use sslmode=verify-full")
	case policy.Passwords():
		who, err = c.byPassword(policy, user)
	case uid == api.NoUID && policy.Method == access.Trust:
		err = api.Errorf(errNotAdmitted, "auth trust is for connections within this machine only (auth.method in pageserver.toml)")
	case uid == api.NoUID:
		err = api.Errorf(errNotAdmitted, "no client is let in over TCP (auth.method in pageserver.toml)")
	default:
		err = api.Errorf(errNotAdmitted, "%s is not let in here: the owner of the work directory can change that (auth.accounts in pageserver.toml)", accountText(uid))
	}
	if err != nil {
		c.auditRefusal(user, uid, err)
		return err
	}
	c.who = who
	if err := c.srv.checkShare(c); err != nil {
		return err
	}
	c.usage = c.srv.join(who)
	c.session.Store(&who)
	return nil
}

// byPort gives who a client of the port is without a password: anybody on this machine under the method trust, else
// the user that its certificate names.
func (c *conn) byPort(policy *access.Policy, user string) (access.Principal, bool) {
	if policy.Method == access.Trust && isLoopbackTCP(c.raw.LocalAddr()) && isLoopbackTCP(c.raw.RemoteAddr()) {
		return access.Trusted, true
	}
	chains := c.tlsState().VerifiedChains
	if len(chains) == 0 || !policy.Passwords() {
		return access.Principal{UID: api.NoUID}, false
	}
	name := chains[0][0].Subject.CommonName
	if name != user {
		return access.Principal{UID: api.NoUID}, false
	}
	return policy.Store.ByName(name)
}

// byPassword has the client show that it knows the password of a user (CheckSASLAuth).
func (c *conn) byPassword(policy *access.Policy, user string) (access.Principal, error) {
	c.in.max = maxAuthMessage
	defer func() { c.in.max = c.srv.opt.MaxMessage }()
	if err := c.say(&pgproto3.AuthenticationSASL{AuthMechanisms: c.binding.Mechanisms()}); err != nil {
		return access.Principal{}, err
	}
	first, err := hear[*pgproto3.SASLInitialResponse](c, pgproto3.AuthTypeSASL)
	if err != nil {
		return access.Principal{}, err
	}
	conv, answer, err := policy.Store.Begin(user, first.AuthMechanism, string(first.Data), c.binding)
	if err != nil {
		return access.Principal{}, err
	}
	if err := c.say(&pgproto3.AuthenticationSASLContinue{Data: []byte(answer)}); err != nil {
		return access.Principal{}, err
	}
	last, err := hear[*pgproto3.SASLResponse](c, pgproto3.AuthTypeSASLContinue)
	if err != nil {
		return access.Principal{}, err
	}
	who, answer, err := c.checkProof(user, conv, string(last.Data))
	if err != nil {
		return who, err
	}
	who.UID = access.PeerUID(c.raw)
	return who, c.say(&pgproto3.AuthenticationSASLFinal{Data: []byte(answer)})
}

// checkProof finds out whether the client knows the password, unless too many wrong ones came from there: then it is
// told to wait, whether or not this is the right one.
func (c *conn) checkProof(user string, conv *access.Conversation, last string) (access.Principal, string, error) {
	if wait := c.srv.guesses.Wait(user, c.origin); wait > 0 {
		return access.Principal{}, "", api.Errorf(errNotAdmitted, "too many wrong passwords for user %q: try again in %v", api.Clip(user), wait.Round(time.Second)+time.Second)
	}
	who, answer, err := conv.Finish(last)
	if err != nil {
		c.srv.guesses.Wrong(user, c.origin)
		return who, "", api.Errorf(errPassword, "password authentication failed for user %q", api.Clip(user))
	}
	c.srv.guesses.Right(user, c.origin)
	return who, answer, nil
}

// say sends a message at once.
func (c *conn) say(msg pgproto3.BackendMessage) error {
	if err := c.send(msg); err != nil {
		return err
	}
	return c.flush()
}

// hear receives the client's next message, which must be an M: the answer to a request for authentication.
func hear[M pgproto3.FrontendMessage](c *conn, authType uint32) (answer M, err error) {
	if err := c.be.SetAuthType(authType); err != nil {
		return answer, err
	}
	msg, err := receiveFrom(c.be)
	if err != nil {
		return answer, err
	}
	answer, ok := msg.(M)
	if !ok {
		return answer, api.Errorf(api.ErrProtocol, "expected SASL response, got %T", msg)
	}
	return answer, nil
}

// renew finds out what the client may do now: its role may have changed since it was let in, and then it may not
// be let in any more. The error ends the connection.
func (c *conn) renew() error {
	who, ok := c.srv.policy.Load().Current(c.who)
	if !ok {
		return errRevoked
	}
	c.who = who
	return nil
}

// errRevoked ends the connection of a client that would not be let in any more, or with another role.
var errRevoked = api.Errorf(errNotAdmitted, "terminating connection: what let this client in was revoked or changed, or has expired")

// revoke ends the connection if its client would not be let in any more, or with another role: what it runs, such
// as a stream, was begun by the old one. It may be called at any time.
func (c *conn) revoke(policy *access.Policy) {
	who := c.session.Load()
	if who == nil {
		return
	}
	if now, ok := policy.Current(*who); !ok || now.Grant != who.Grant {
		c.end(errRevoked)
	}
}

// end has the connection end soon with an error, whatever it does now. It may be called at any time.
func (c *conn) end(why error) {
	c.ending.CompareAndSwap(nil, &why)
	c.cancelCommand()
	c.wake()
}

// tlsState describes the TLS of the connection; without any, it is empty.
func (c *conn) tlsState() tls.ConnectionState {
	if c.tls == nil {
		return tls.ConnectionState{}
	}
	return c.tls.ConnectionState()
}

// needsTLS reports whether the client must not go on without TLS: it is on another machine, and the server has a
// certificate.
func (c *conn) needsTLS() bool {
	return c.srv.tls.Load() != nil && c.tls == nil && !isLoopback(c.raw.RemoteAddr())
}

// auditRefusal notes that a client was not let in.
func (c *conn) auditRefusal(user string, uid int, err error) {
	if isNetError(err) {
		return
	}
	c.srv.opt.Log.Warn("client refused", "user", api.Clip(user), "uid", uid, "address", c.address, "err", fmt.Sprint(err))
}
