package receiver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"zenith/internal/conninfo"
)

// Rules bound what a connection string can have this process do. The zero Rules are those of the process's
// own user.
type Rules struct {
	// Stranger says that the string is from somebody who may not read this process's files: it names none,
	// and no unix socket.
	Stranger bool
	// Allow decides whether to connect to an address to which a host was resolved; nil: to all.
	Allow func(host string, addr netip.Addr) bool
	// Discreet is how long an attempt takes that does not lead to a session, whatever the reason is, and the
	// error does not say the reason: who asks cannot look around in this machine's networks. 0: errors come
	// when they come, and say all.
	Discreet time.Duration
	// Socket connects to a unix socket to which this process's account may not; nil: nothing does.
	Socket func(path string) (net.Conn, error)
}

// ErrRefused is returned when the rules do not allow to connect to an address.
var ErrRefused = errors.New("this page server does not connect there")

// Unreachable is the error of an attempt to connect under Rules that are discreet.
type Unreachable struct {
	Address string
	Cause   error // for this process's own log alone: it is not in the text, and errors.Is does not find it
}

func (u *Unreachable) Error() string {
	return "connect to " + u.Address + ": there is no server that lets this page server in (its log may say more)"
}

// connect makes a connection by the rules.
func (s *Server) connect(ctx context.Context) (*pgconn.PgConn, error) {
	if s.rules.Discreet == 0 {
		pc, err := pgconn.ConnectConfig(ctx, s.cfg.Copy())
		if err != nil {
			return nil, fmt.Errorf("connect to %s: %w", s.address(), connectError(err))
		}
		return pc, nil
	}
	late := time.After(s.rules.Discreet)
	bounded, cancel := context.WithTimeout(ctx, s.rules.Discreet)
	defer cancel()
	pc, err := pgconn.ConnectConfig(bounded, s.cfg.Copy())
	if err == nil {
		return pc, nil
	}
	select {
	case <-late:
		return nil, &Unreachable{Address: s.address(), Cause: connectError(err)}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dialer makes the TCP connections and looks names up: neither consults anything but the string and the rules.
func (s *Server) dialer(info conninfo.Info) error {
	alive := net.KeepAliveConfig{Enable: info.Get("keepalives") != "0"}
	for _, k := range []struct {
		keyword string
		set     func(n int)
	}{
		{"keepalives_idle", func(n int) { alive.Idle = time.Duration(n) * time.Second }},
		{"keepalives_interval", func(n int) { alive.Interval = time.Duration(n) * time.Second }},
		{"keepalives_count", func(n int) { alive.Count = n }},
	} {
		if v := info.Get(k.keyword); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return fmt.Errorf("%w: %s: want a number", ErrConnInfo, k.keyword)
			}
			k.set(n)
		}
	}
	d := &net.Dialer{Timeout: s.cfg.ConnectTimeout, KeepAliveConfig: alive}
	s.cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, address)
		if s.rules.Socket != nil && network == "unix" && errors.Is(err, fs.ErrPermission) {
			return s.rules.Socket(address)
		}
		return conn, err
	}
	s.cfg.LookupFunc = s.lookup(info.Get("hostaddr"))
	return nil
}

// lookup gives the function that finds the addresses of a host, those that the rules allow. What it gives is
// connected to as it stands.
func (s *Server) lookup(hostaddr string) pgconn.LookupFunc {
	return func(ctx context.Context, host string) ([]string, error) {
		found, err := []string{hostaddr}, error(nil)
		name := "" // an address that the string itself gives to a name says nothing about who has that name
		if hostaddr == "" {
			name = host
			found, err = net.DefaultResolver.LookupHost(ctx, host)
		}
		if err != nil || s.rules.Allow == nil {
			return found, err
		}
		var allowed []string
		for _, f := range found {
			if addr, err := netip.ParseAddr(f); err == nil && s.rules.Allow(name, addr) {
				allowed = append(allowed, f)
			}
		}
		if len(allowed) == 0 {
			return nil, fmt.Errorf("%s: %w", host, ErrRefused)
		}
		return allowed, nil
	}
}
