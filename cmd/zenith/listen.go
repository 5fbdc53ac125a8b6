package main

import (
	"errors"
	"io/fs"
	"net"
	"syscall"

	"zenith/internal/access"
	"zenith/internal/api"
)

// listeners is where the page server listens: the socket in its work directory, and perhaps a port.
type listeners []net.Listener

// openDoors opens the page server's socket, and its port if it is to have one. If that fails, the error tells
// what the user can change.
func openDoors(s *settings) (listeners, error) {
	socket, err := listenSocket(s.workdir, s.socketMode())
	if err != nil || s.Listen == "" {
		return listeners{socket}, err
	}
	port, err := listen(string(s.Listen))
	if err == nil && s.Auth.method(s.Listen) == access.Trust && !isLoopback(port.Addr().String()) {
		err = errors.Join(errTrustBeyond(s.Listen), port.Close())
	}
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return listeners{socket, port}, nil
}

// setSocketMode changes who may connect to the socket, as the settings say now.
func (l listeners) setSocketMode(mode fs.FileMode) error {
	for _, one := range l {
		if socket, ok := one.(interface{ Chmod(fs.FileMode) error }); ok {
			return socket.Chmod(mode)
		}
	}
	return nil
}

// address gives the HOST:PORT at which the page server listens, or the path of its socket if it has no port.
func (l listeners) address() string { return l[len(l)-1].Addr().String() }

func (l listeners) close() (err error) {
	for _, one := range l {
		err = errors.Join(err, one.Close())
	}
	return err
}

// listen opens a port.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, api.Errorf(api.ErrBusy, "listen on %s: the port is in use (zenith start --listen HOST:PORT, or %s)", addr, serverFile)
	case errors.Is(err, syscall.EACCES):
		return nil, api.Errorf(api.ErrNotAllowed, "listen on %s: permission denied", addr)
	case err != nil:
		return nil, err
	}
	return l, nil
}

// isLoopback reports whether only this machine can connect to HOST:PORT. A name counts as what it means here now.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		return false
	}
	ips, err := net.LookupIP(host)
	for _, ip := range ips {
		if !ip.IsLoopback() {
			return false
		}
	}
	return err == nil && len(ips) > 0
}

// Modes of the socket. Whoever connects is asked for its account in any case.
const (
	socketOfOwner fs.FileMode = 0o700
	socketOfAll   fs.FileMode = 0o777 // where other accounts may be let in
)

// socketMode gives the mode of the socket: other accounts than the owner's get no further than the file if none
// of them is let in.
func (c *serverConfig) socketMode() fs.FileMode {
	if len(c.Auth.Accounts) == 0 && c.Auth.method(c.Listen) != access.Scram {
		return socketOfOwner
	}
	return socketOfAll
}
