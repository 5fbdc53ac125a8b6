package privileged

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// receive reads a message, or a part of a stream, and at most max files that came with it.
func receive(socket *os.File, p []byte, max int) (n int, files []*os.File, err error) {
	oob := make([]byte, unix.CmsgSpace(4*max))
	n, oobn, flags, _, err := unix.Recvmsg(int(socket.Fd()), p, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	for _, m := range messages {
		fds, perr := unix.ParseUnixRights(&m)
		err = errors.Join(err, perr)
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errors.New("a message is too long")
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		closeAll(files)
		return 0, nil, err
	}
	return n, files, nil
}

// closeAll closes files whose errors matter to nobody.
func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
