package receiver

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"zenith/internal/conninfo"
	"zenith/internal/pg"
)

// slotKey is what a connection string calls the replication slot, as a standby's
// configuration does.
const slotKey = "primary_slot_name"

// usualName is the application_name if the connection string has none.
const usualName = "zenith"

// connectTimeout bounds what is done over a connection of its own.
const connectTimeout = 15 * time.Second

// Server says how to reach a server for replication.
type Server struct {
	cfg   *pgconn.Config
	slot  string
	rules Rules
}

// ParseServer parses a connection string of libpq, in either form. In addition,
// primary_slot_name names a physical replication slot, which is made if it is not there.
// application_name is the name under which the server's synchronous_standby_names lists the
// receiver. Nothing but the string counts: no environment, no file in a home directory.
// ErrConnInfo: it cannot be understood, or, also conninfo.ErrNotTaken, the rules forbid it.
func ParseServer(s string, rules Rules) (*Server, error) {
	info, err := conninfo.Parse(s)
	if err == nil {
		err = info.CheckTaken(!rules.Stranger)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConnInfo, err)
	}
	server := &Server{slot: info.Get(slotKey), rules: rules}
	if !validSlot(server.slot) {
		return nil, fmt.Errorf("%w: %s %q: want up to 63 of a-z, 0-9 and _", ErrConnInfo, slotKey, server.slot)
	}
	if server.cfg, err = config(info); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrConnInfo, oneLine(err))
	}
	return server, server.dialer(info)
}

// ours are the keywords that pgconn does not know, or that are sent to the server as they stand.
var ours = []string{
	slotKey, "replication", "application_name", "fallback_application_name", "options", "client_encoding",
	"hostaddr", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "gssencmode",
	"password", "sslpassword",
}

// found is what pgconn would look up in the environment and in files where the string does not say it.
var found = []struct{ keyword, value string }{
	{"passfile", ""}, {"sslcert", ""}, {"sslkey", ""}, {"sslrootcert", ""}, {"sslmode", "prefer"}, {"sslcertmode", "allow"}, {"sslsni", ""},
	{"sslnegotiation", ""}, {"port", "5432"}, {"target_session_attrs", "any"}, {"connect_timeout", "15"}, {"dbname", ""},
	{"channel_binding", "prefer"}, {"require_auth", ""}, {"min_protocol_version", ""}, {"max_protocol_version", ""},
}

// config makes pgconn's settings. It gets no password to parse: its errors quote the string.
func config(info conninfo.Info) (*pgconn.Config, error) {
	plain := info.Without(ours...)
	for _, f := range found {
		if !plain.Has(f.keyword) {
			plain.Set(f.keyword, f.value)
		}
	}
	if !plain.Has("host") {
		plain.Set("host", info.Get("hostaddr"))
	}
	cfg, err := pgconn.ParseConfigWithOptions(plain.String(), pgconn.ParseConfigOptions{
		GetSSLPassword: func(context.Context) string { return info.Get("sslpassword") },
	})
	if err != nil {
		return nil, err
	}
	cfg.Password = info.Get("password")
	cfg.RuntimeParams = map[string]string{
		"replication":      "true",
		"application_name": cmp.Or(info.Get("application_name"), info.Get("fallback_application_name"), usualName),
	}
	for _, k := range []string{"options", "client_encoding"} {
		if v := info.Get(k); v != "" {
			cfg.RuntimeParams[k] = v
		}
	}
	return cfg, nil
}

// validSlot is ReplicationSlotValidateName, but accepts "", which means that there is no slot.
func validSlot(name string) bool {
	return len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// String describes the server, without a password.
func (s *Server) String() string {
	parts := []string{"host=" + s.cfg.Host, "port=" + strconv.Itoa(int(s.cfg.Port)), "user=" + s.cfg.User,
		"application_name=" + s.cfg.RuntimeParams["application_name"]}
	if s.slot != "" {
		parts = append(parts, slotKey+"="+s.slot)
	}
	return strings.Join(parts, " ")
}

// identity is the answer to IDENTIFY_SYSTEM, and what the server said at startup.
type identity struct {
	version *pg.Version
	sysID   uint64
	tli     pg.TLI
	end     pg.LSN // of the server's flushed WAL
}

// dial connects to the server and makes sure that its version is one that can be read here.
func (s *Server) dial(ctx context.Context) (*conn, identity, error) {
	pc, err := s.connect(ctx)
	if err != nil {
		return nil, identity{}, err
	}
	c := &conn{pc: pc}
	id, err := c.identify(ctx)
	if err != nil {
		c.close()
		return nil, id, err
	}
	return c, id, nil
}

func (s *Server) address() string {
	if strings.HasPrefix(s.cfg.Host, "/") {
		return s.cfg.Host
	}
	return net.JoinHostPort(s.cfg.Host, strconv.Itoa(int(s.cfg.Port)))
}

// connectError gives the useful part of pgconn's error, which lists every attempt on a line of
// its own: the last.
func connectError(err error) error {
	if sqlState(err) != "" {
		return said(err)
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return fmt.Errorf("%s%w", strings.TrimSpace(lines[len(lines)-1]), silent{err})
}

// identify asks the server which cluster it is and where its WAL ends.
func (c *conn) identify(ctx context.Context) (id identity, err error) {
	version := c.pc.ParameterStatus("server_version")
	if id.version, err = pg.ParseRelease(version); err != nil {
		return id, fmt.Errorf("the server is PostgreSQL %s: %w", version, ErrVersion)
	}
	rows, err := c.query(ctx, "IDENTIFY_SYSTEM")
	if err != nil {
		return id, fmt.Errorf("identify the server: %w", err)
	}
	if len(rows) != 1 || len(rows[0]) < 3 {
		return id, fmt.Errorf("IDENTIFY_SYSTEM gave %d rows: %w", len(rows), errProtocol)
	}
	if id.sysID, err = strconv.ParseUint(rows[0][0], 10, 64); err != nil {
		return id, fmt.Errorf("system identifier: %v: %w", err, errProtocol)
	}
	tli, err := strconv.ParseUint(rows[0][1], 10, 32)
	if err != nil {
		return id, fmt.Errorf("timeline: %v: %w", err, errProtocol)
	}
	id.tli = pg.TLI(tli)
	if id.end, err = pg.ParseLSN(rows[0][2]); err != nil {
		return id, fmt.Errorf("%v: %w", err, errProtocol)
	}
	return id, nil
}

// makeSlot makes a physical slot that keeps WAL from now on. made is false if there was one of
// that name.
func (c *conn) makeSlot(ctx context.Context, name string, temporary bool) (made bool, err error) {
	kind := ""
	if temporary {
		kind = " TEMPORARY"
	}
	_, err = c.query(ctx, fmt.Sprintf("CREATE_REPLICATION_SLOT %q%s PHYSICAL RESERVE_WAL", name, kind))
	if sqlState(err) == stateDuplicateObject {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("create replication slot %s: %w", name, err)
	}
	return true, nil
}
