package tenants

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"zenith/internal/api"
	"zenith/internal/conninfo"
	"zenith/internal/egress"
	"zenith/internal/privileged"
	"zenith/repo/receiver"
)

// Egress says where the page server connects on behalf of callers who are not its owner.
type Egress struct {
	Receive egress.List // the servers of WAL receivers
	Push    egress.List // the page servers to which branches are pushed
	// Discreet is how long an attempt to connect to a server that no list allows explicitly takes, if it
	// leads nowhere: as long for a port that is closed as for one that is open or filtered. Default 5 s.
	Discreet time.Duration
}

const defaultDiscreet = 5 * time.Second

// SetEgress changes where the page server connects on behalf of others than its owner, from the next attempt on, also
// of receivers that run. Connections that are there stay.
func (m *Manager) SetEgress(e Egress) { m.egress.Store(&e) }

// rulesFor bounds what a caller's connection string does. The owner could connect himself from where the
// page server runs, so nothing is kept from him.
func (m *Manager) rulesFor(stranger bool) receiver.Rules {
	if !stranger {
		return receiver.Rules{}
	}
	rules := receiver.Rules{Stranger: true, Allow: func(host string, addr netip.Addr) bool {
		return m.egress.Load().Receive.Allows(host, addr)
	}}
	if e := m.egress.Load(); !e.Receive.Explicit() {
		rules.Discreet = cmp.Or(e.Discreet, defaultDiscreet)
	}
	return rules
}

// parseServer parses the connection string of a receiver that is to be started, or was kept.
func (m *Manager) parseServer(f receiverFile) (*receiver.Server, error) {
	rules := m.rulesFor(f.Stranger)
	if h := m.cfg.Helper; h != nil && !f.Stranger { // a stranger names no socket
		rules.Socket = func(path string) (net.Conn, error) { return connectBy(h, path) }
	}
	server, err := receiver.ParseServer(f.ConnInfo, rules)
	switch {
	case errors.Is(err, conninfo.ErrNotTaken):
		return nil, &api.Error{Kind: api.ErrNotAllowed, Msg: err.Error()}
	case err != nil:
		return nil, &api.Error{Kind: api.ErrBadArgument, Msg: err.Error()}
	}
	return server, nil
}

// connectBy has the helper connect to the socket of a server that only other accounts can reach.
func connectBy(h privileged.Helper, path string) (net.Conn, error) {
	f, err := h.Connect(path)
	if err != nil {
		return nil, err
	}
	conn, err := net.FileConn(f) // has a descriptor of its own
	return conn, errors.Join(err, f.Close())
}

// checkServer makes sure that a receiver could follow the server into the branch. What a caller may not know
// of the reason goes into the log.
func (b *branch) checkServer(ctx context.Context, server *receiver.Server) error {
	err := receiver.Check(ctx, server, b.tl)
	var u *receiver.Unreachable
	if errors.As(err, &u) {
		b.t.log.Warn("a server that a caller named cannot be followed", "branch", b.tl.Name(), "server", server.String(), "err", u.Cause)
	}
	return receiverError(b, err)
}

// dialPeer connects to the page server to which a caller pushes.
func (m *Manager) dialPeer(ctx context.Context, to string) (Peer, error) {
	rules := m.egress.Load()
	push := rules.Push
	if err := checkTarget(to, api.CallerOf(ctx).Owner); err != nil {
		return nil, err
	}
	if api.CallerOf(ctx).Owner {
		return m.cfg.Dial(ctx, to, nil)
	}
	if push.Explicit() {
		return m.cfg.Dial(ctx, to, push.Allows)
	}
	patience := cmp.Or(rules.Discreet, defaultDiscreet)
	late := time.After(patience)
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	far, err := m.cfg.Dial(bounded, to, push.Allows)
	if err == nil {
		return far, nil
	}
	m.log.Warn("a page server that a caller named cannot be reached", "err", err)
	select {
	case <-late:
		return nil, api.Errorf(api.ErrUnavailable, "there is no page server at that address that lets this one in (its log may say more)")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// checkTarget makes sure that the address of another page server has the page server that connects there read no
// files that are not the caller's.
func checkTarget(to string, owner bool) error {
	if !strings.Contains(to, "=") && !strings.Contains(to, "://") { // HOST:PORT
		return nil
	}
	info, err := conninfo.Parse(to)
	if err != nil {
		return &api.Error{Kind: api.ErrBadArgument, Msg: err.Error()}
	}
	if !info.Has("hostaddr") {
		info.Default("host", "127.0.0.1") // as for every page server's address
	}
	if err := info.CheckTaken(owner); err != nil {
		return &api.Error{Kind: api.ErrNotAllowed, Msg: err.Error()}
	}
	return nil
}
