package pageserver

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/startup"
)

// parameters are what clients want to know of a server before they trust it.
var parameters = [][2]string{
	{"server_encoding", "UTF8"},
	{"client_encoding", "UTF8"},
	{"DateStyle", "ISO, MDY"},
	{"IntervalStyle", "postgres"},
	{"TimeZone", "UTC"},
	{"integer_datetimes", "on"},
	{"standard_conforming_strings", "on"},
	{"is_superuser", "on"},
	{"in_hot_standby", "off"},
	{"default_transaction_read_only", "off"},
	{"application_name", "zenith"},
}

// identityParameter tells which work directory is served. The commands that run in one compare it with
// theirs, which may be a copy.
const identityParameter = "zenith_workdir"

// versionParameter is server_version, which psql and drivers take as the level of the protocol
// and its dialect. It is that of the first release of the major.
func versionParameter(v *pg.Version) [2]string {
	return [2]string{"server_version", fmt.Sprintf("%d.0", v.Major)}
}

// startup negotiates the connection, encrypted if the client wants that and the server can, and lets the client in or not. A cancel request is served here too and ends with io.EOF.
func (c *conn) startup() error {
	if err := c.raw.SetReadDeadline(time.Now().Add(c.srv.opt.StartupTimeout)); err != nil {
		return err
	}
	if first, err := c.br.Peek(1); err == nil && first[0] == startup.FirstOfTLS {
		if err := c.encrypt(true); err != nil {
			return err
		}
	}
	for range startup.MaxEncryptionRequests + 1 {
		p, err := startup.Read(c.br)
		if err != nil {
			return err
		}
		encrypt := p.Code == startup.CodeSSL && c.tls == nil && c.srv.tls.Load() != nil && access.PeerUID(c.raw) == api.NoUID
		answer := []byte("N") // SSL or GSS encryption: no
		switch {
		case p.Code == startup.CodeCancel:
			return c.srv.cancelBy(p.Cancel)
		case encrypt:
			answer = []byte("S")
		case p.Params != nil:
			answer = negotiation(p)
		}
		if _, err := (deadlineWriter{c.nc, c.srv.opt.WriteTimeout}).Write(answer); err != nil {
			return err
		}
		if encrypt {
			if err := c.encrypt(false); err != nil {
				return err
			}
		}
		if p.Params != nil {
			return c.welcome(p.Params)
		}
	}
	return api.Errorf(api.ErrProtocol, "asked for encryption too often")
}

// negotiation is the NegotiateProtocolVersion message by which the client is told what it does not get of a newer minor
// version of the protocol, and of the protocol's options; nil if it gets all that it asked for.
func negotiation(p *startup.Packet) []byte {
	if p.Code <= startup.Protocol30 && len(p.Options) == 0 {
		return nil
	}
	body := binary.BigEndian.AppendUint32(nil, startup.Protocol30)
	body = binary.BigEndian.AppendUint32(body, uint32(len(p.Options)))
	for _, name := range p.Options {
		body = append(append(body, name...), 0)
	}
	msg := binary.BigEndian.AppendUint32([]byte{'v'}, uint32(4+len(body)))
	return append(msg, body...)
}

// welcome takes the startup parameters and says that we are ready.
func (c *conn) welcome(params map[string]string) error {
	if c.crowded {
		return api.Errorf(errTooMany, "sorry, too many clients already")
	}
	if err := c.admit(params["user"]); err != nil {
		return err
	}
	c.tenant, c.branch, _ = strings.Cut(params["database"], "/")
	if c.branch == "" { // psql's default is the user's name: no tenant's id
		c.tenant = ""
	}
	if c.replication = isTrue(params["replication"]); c.replication {
		c.tenant, c.branch = branchOf(params)
		c.version = c.branchVersion()
	}
	if err := c.send(&pgproto3.AuthenticationOk{}); err != nil {
		return err
	}
	for _, p := range append([][2]string{versionParameter(c.version)}, parameters...) {
		if err := c.send(&pgproto3.ParameterStatus{Name: p[0], Value: p[1]}); err != nil {
			return err
		}
	}
	if id := c.srv.opt.Identity; id != "" {
		if err := c.send(&pgproto3.ParameterStatus{Name: identityParameter, Value: id}); err != nil {
			return err
		}
	}
	if err := c.send(&pgproto3.BackendKeyData{ProcessID: c.id, SecretKey: c.secret}); err != nil {
		return err
	}
	if err := c.ready(); err != nil {
		return err
	}
	if err := c.raw.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if c.srv.ctx.Err() != nil { // Close may have come between
		c.wake()
	}
	return nil
}

// branchVersion is the version of the branch that a replication client names: the client
// refuses servers that are newer than itself, and a standby those of another major. Where
// there is no such branch, the client's first command says so.
func (c *conn) branchVersion() *pg.Version {
	if c.srv.opt.Replication == nil {
		return pg.Default
	}
	if !c.mayRead(c.ownTenant()) {
		return pg.Default
	}
	src, err := c.srv.opt.Replication.Replicate(c.srv.ctx, c.ownTenant(), c.branch)
	if err != nil {
		return pg.Default
	}
	v := src.Version()
	if err := src.Close(); err != nil {
		c.srv.opt.Log.Error("close a branch", "tenant", c.tenant, "branch", c.branch, "err", err)
	}
	return v
}

// isTrue reads a boolean startup parameter as PostgreSQL does; replication=database counts.
func isTrue(s string) bool {
	switch strings.ToLower(s) {
	case "true", "on", "yes", "1", "database":
		return true
	}
	return false
}
