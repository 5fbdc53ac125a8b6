package pageserver

import (
	"cmp"
	"net"
	"path/filepath"
	"strings"

	"zenith/internal/api"
	"zenith/internal/conninfo"
)

// DefaultPort is the page server's, over TCP and in the name of its socket.
const DefaultPort = "6400"

// Conninfo reads what a user writes for a page server: a connection string, HOST:PORT, HOST, or the absolute
// path of its unix socket or of the directory that it is in. The result names one host, and a port. No error has
// a part of s in it, which may be a password.
func Conninfo(s string) (info conninfo.Info, err error) {
	s = strings.TrimSpace(s)
	switch {
	case isConninfo(s):
		if info, err = conninfo.Parse(s); err != nil {
			return info, api.Errorf(api.ErrBadArgument, "conninfo: %v", err)
		}
	case isSocket(s):
		dir, port := splitSocket(s)
		info.Set("host", dir)
		info.Default("port", port)
	case s == "" || strings.ContainsAny(s, " \t"):
		return info, api.Errorf(api.ErrBadArgument, "conninfo: want HOST:PORT")
	default:
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			host, port = strings.Trim(s, "[]"), ""
		}
		info.Set("host", host)
		info.Default("port", port)
	}
	if !info.Has("host") && !info.Has("hostaddr") && !isURI(s) {
		info.Set("host", "127.0.0.1")
	}
	host := cmp.Or(info.Get("hostaddr"), info.Get("host"))
	if host == "" || strings.Contains(host, ",") || strings.HasPrefix(host, "@") {
		return info, api.Errorf(api.ErrBadArgument, "conninfo: want one host")
	}
	info.Default("port", DefaultPort)
	return info, nil
}

// Address gives the address that a user means by what Conninfo reads: HOST:PORT, or the path of a unix socket.
func Address(s string) (string, error) {
	info, err := Conninfo(s)
	if err != nil {
		return "", err
	}
	return addressIn(info), nil
}

func addressIn(info conninfo.Info) string {
	return withPort(cmp.Or(info.Get("hostaddr"), info.Get("host")), info.Get("port"))
}

// isConninfo tells a connection string from an address alone.
func isConninfo(s string) bool { return isURI(s) || !isSocket(s) && strings.Contains(s, "=") }

func isURI(s string) bool {
	return strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://")
}

func withPort(host, port string) string {
	if isSocket(host) {
		return filepath.Join(host, socketPrefix+port)
	}
	return net.JoinHostPort(host, port)
}
