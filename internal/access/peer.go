package access

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"zenith/internal/api"
)

// PeerUID gives the UID of the process at the other end of a unix socket, as of when it connected; api.NoUID for
// any other connection.
func PeerUID(nc net.Conn) int {
	uc, ok := nc.(*net.UnixConn)
	if !ok {
		return api.NoUID
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return api.NoUID
	}
	uid := api.NoUID
	err = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	if err != nil {
		return api.NoUID
	}
	return uid
}
