package egress_test

import (
	"net"
	"net/netip"
	"testing"

	"zenith/internal/egress"
)

func TestDefault(t *testing.T) {
	var l egress.List
	for addr, want := range map[string]bool{
		"203.0.113.7": true, "10.1.2.3": true, "2001:db8::1": true, "64:ff9b::cb00:7107": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "::ffff:127.0.0.1": false, "64:ff9b::7f00:1": false,
		"0.0.0.0": false, "0.1.2.3": false, "::": false,
		"169.254.169.254": false, "::ffff:169.254.169.254": false, "64:ff9b::a9fe:a9fe": false, "fe80::1": false, "fe80::1%eth0": false,
		"fd00:ec2::254": false, "100.100.100.200": false, "168.63.129.16": false, "224.0.0.1": false, "ff02::1": false,
	} {
		if got := l.Allows(addr, netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range own {
		addr, _ := netip.AddrFromSlice(a.(*net.IPNet).IP)
		if l.Allows("me.example.com", addr) {
			t.Errorf("this machine's own address %v is allowed", addr)
		}
	}
	if l.Allows("x", netip.Addr{}) {
		t.Error("no address at all is allowed")
	}
}

func TestList(t *testing.T) {
	l, err := egress.Parse([]string{"10.0.0.0/8", "db.Example.com", "*.lan", "127.0.0.1", "[2001:db8::5]"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host, addr string
		want       bool
	}{
		{"10.1.1.1", "10.1.1.1", true},
		{"other.example.com", "10.1.1.1", true}, // the network is allowed by whatever name
		{"db.example.com", "203.0.113.7", true},
		{"DB.example.com.", "203.0.113.7", true},
		{"evil.db.example.com", "203.0.113.7", false},
		{"a.b.lan", "192.168.0.1", true},
		{"lan", "192.168.0.1", false},
		{"elan", "192.168.0.1", false},
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.2", "127.0.0.2", false},
		{"2001:db8::5", "2001:db8::5", true},
		{"203.0.113.7", "203.0.113.7", false},
	} {
		if got := l.Allows(c.host, netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("%s at %s: %v", c.host, c.addr, got)
		}
	}
	nothing, err := egress.Parse(nil)
	if err != nil || nothing.Allows("h", netip.MustParseAddr("203.0.113.7")) {
		t.Errorf("an empty list allows something (%v)", err)
	}
	for _, bad := range []string{"", "*", "a b", "10.0.0.0/99", "h:5432", "*x", "a,b", "http://x"} {
		if _, err := egress.Parse([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
