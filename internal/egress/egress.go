// Package egress decides to which addresses this process connects on behalf of somebody else: where the
// server of a WAL receiver, or the target of a push, may be.
//
// A name is resolved first, and the address that it led to is what is decided on and connected to. So a name
// that leads elsewhere at the second look gains nothing.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// List is where a process may connect to. The zero List is the default: everywhere but to this machine
// itself, and to what answers only on the local link, such as a cloud's metadata service.
type List struct {
	set      bool
	prefixes []netip.Prefix
	names    []string // lower case; ".x" stands for all names below x
}

// Parse makes a list of what a user wrote: addresses, networks (10.0.0.0/8), names (db.example.com) and
// domains (*.example.com). Only what is in it may be connected to; an empty list allows nothing.
func Parse(entries []string) (List, error) {
	l := List{set: true}
	for _, e := range entries {
		if err := l.add(strings.ToLower(strings.TrimSpace(e))); err != nil {
			return List{}, err
		}
	}
	return l, nil
}

func (l *List) add(e string) error {
	if prefix, err := netip.ParsePrefix(e); err == nil {
		l.prefixes = append(l.prefixes, prefix.Masked())
		return nil
	}
	if addr, err := netip.ParseAddr(strings.Trim(e, "[]")); err == nil {
		addr = addr.Unmap().WithZone("")
		l.prefixes = append(l.prefixes, netip.PrefixFrom(addr, addr.BitLen()))
		return nil
	}
	name := strings.TrimPrefix(e, "*")
	if name == "" || strings.ContainsAny(name, " /:*,") || len(name) < len(e) && name[0] != '.' {
		return fmt.Errorf("%q: want an address, a network such as 10.0.0.0/8, a name, or *.DOMAIN", e)
	}
	l.names = append(l.names, strings.TrimSuffix(name, "."))
	return nil
}

// Explicit reports whether somebody wrote the list: what it allows is meant, then, not only not forbidden.
func (l List) Explicit() bool { return l.set }

// Allows reports whether a connection to addr may be made, to which host, a name or the address itself, was
// resolved.
func (l List) Allows(host string, addr netip.Addr) bool {
	addr = plain(addr)
	if !addr.IsValid() {
		return false
	}
	if !l.set {
		return !isLocal(addr)
	}
	for _, p := range l.prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return l.named(host)
}

// named reports whether the list has the name, or a domain above it.
func (l List) named(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	for _, n := range l.names {
		if host == n || strings.HasPrefix(n, ".") && strings.HasSuffix(host, n) {
			return true
		}
	}
	return false
}

// nat64 is the prefix below which IPv6 addresses are IPv4 ones, to be translated on the way (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// plain gives an address without the wrappings under which the same machine is reached.
func plain(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
}

// metadata are the addresses at which clouds tell a machine its secrets, as far as they are not link-local.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("100.100.100.200"), // Alibaba
	netip.MustParseAddr("168.63.129.16"),   // Azure
}

// thisNetwork is 0.0.0.0/8, which Linux takes for this machine.
var thisNetwork = netip.MustParsePrefix("0.0.0.0/8")

// isLocal reports whether an address leads to this machine or to what serves it alone.
func isLocal(addr netip.Addr) bool {
	if addr.IsLoopback() || addr.IsUnspecified() || addr.IsLinkLocalUnicast() || addr.IsMulticast() || thisNetwork.Contains(addr) {
		return true
	}
	for _, m := range metadata {
		if addr == m {
			return true
		}
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return true // it cannot be told
	}
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok {
			if o, ok := netip.AddrFromSlice(n.IP); ok && plain(o) == addr {
				return true
			}
		}
	}
	return false
}

// ErrRefused is returned when no address of a host may be connected to.
var ErrRefused = errors.New("this page server does not connect there")

// Resolve gives the first address of a host, a name or an address, that allow allows. It is to be
// connected to as it stands: to resolve the name again might give another one.
func Resolve(ctx context.Context, host string, allow func(host string, addr netip.Addr) bool) (netip.Addr, error) {
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, addr := range found {
		if allow(host, addr) {
			return addr, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s: %w", host, ErrRefused)
}
