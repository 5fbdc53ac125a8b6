package pageserver

import (
	"net"
	"net/url"
	"strings"

	"zenith/internal/api"
)

// DefaultPort is the page server's, over TCP and in the name of its socket.
const DefaultPort = "6400"

// Address gives the address of a page server from what a user writes: HOST:PORT, HOST,
// host=H port=P, or postgresql://H:P; or DIR, the absolute path of the directory in which its unix socket
// is, in the place of HOST. It is HOST:PORT, or the path of the socket. What else a conninfo holds is not
// looked at. No error has a part of it: it might be a password.
func Address(conninfo string) (string, error) {
	s := strings.TrimSpace(conninfo)
	switch {
	case strings.HasPrefix(s, "postgres://"), strings.HasPrefix(s, "postgresql://"):
		u, err := url.Parse(s)
		if err == nil && u.Hostname() == "" && isSocket(u.Query().Get("host")) {
			return withPort(u.Query().Get("host"), u.Query().Get("port")), nil
		}
		if err != nil || u.Hostname() == "" {
			return "", api.Errorf(api.ErrBadArgument, "conninfo: want postgresql://HOST:PORT")
		}
		return withPort(u.Hostname(), u.Port()), nil
	case isSocket(s):
		return withPort(s, ""), nil
	case strings.Contains(s, "="):
		return keywordAddress(s)
	case s == "" || strings.ContainsAny(s, " \t"):
		return "", api.Errorf(api.ErrBadArgument, "conninfo: want HOST:PORT")
	}
	if host, port, err := net.SplitHostPort(s); err == nil {
		return withPort(host, port), nil
	}
	return withPort(strings.Trim(s, "[]"), ""), nil
}

// keywordAddress reads libpq's form, values quoted or not.
func keywordAddress(s string) (string, error) {
	statements, err := parseStatements(s)
	if err != nil || len(statements) != 1 {
		return "", api.Errorf(api.ErrBadArgument, "conninfo: want host=HOST port=PORT")
	}
	var host, port string
	for _, w := range statements[0] {
		key, value, found := strings.Cut(w.text, "=")
		if !found {
			return "", api.Errorf(api.ErrBadArgument, "conninfo: want KEY=VALUE")
		}
		switch key {
		case "host", "hostaddr":
			host = value
		case "port":
			port = value
		}
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return withPort(host, port), nil
}

func withPort(host, port string) string {
	if port == "" {
		port = DefaultPort
	}
	if isSocket(host) {
		return socketPath(host, port)
	}
	return net.JoinHostPort(host, port)
}
