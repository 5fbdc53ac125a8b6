package privileged

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"zenith/internal/dirfd"
)

// A page server and its helper talk over a socketpair of packets (SOCK_SEQPACKET), each a JSON object: a request, or
// the response with the same ID. Requests may be answered in another order. Open files go with the packets.

// maxPacket bounds a packet, in bytes, and maxFiles the files that go with it.
const (
	maxPacket = 128 << 10
	maxFiles  = 1
)

// request asks for a verb.
type request struct {
	ID   uint64
	Verb string
	Args json.RawMessage
}

// response answers a request.
type response struct {
	ID     uint64
	Result json.RawMessage `json:",omitempty"`
	Err    *wireError      `json:",omitempty"`
}

// wireError is an error on its way: its text, and which of the known errors it is.
type wireError struct {
	Text  string
	Known string        `json:",omitempty"`
	Errno syscall.Errno `json:",omitempty"`
}

// known are the errors that callers look for, by their names on the wire.
var known = map[string]error{
	"busy": ErrBusy, "not-empty": ErrNotEmpty, "stale": ErrStale, "not-owner": ErrNotOwner, "forbidden": ErrForbidden,
	"not-exist": fs.ErrNotExist, "exist": fs.ErrExist, "not-regular": dirfd.ErrNotRegular,
}

// toWire prepares an error for the wire; nil stays nil.
func toWire(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Text: err.Error()}
	for name, k := range known {
		if errors.Is(err, k) {
			w.Known = name
		}
	}
	errors.As(err, &w.Errno)
	return w
}

// Error implements error.
func (w *wireError) Error() string { return w.Text }

// Is reports whether the error was that one on the other side.
func (w *wireError) Is(target error) bool {
	if w.Known != "" && known[w.Known] == target {
		return true
	}
	errno, ok := target.(syscall.Errno)
	return ok && errno != 0 && errno == w.Errno
}

// send sends a packet, and files with it.
func send(socket *os.File, packet any, files ...*os.File) error {
	text, err := json.Marshal(packet)
	if err != nil {
		return err
	}
	if len(text) > maxPacket {
		return fmt.Errorf("a packet of %d bytes is too long", len(text))
	}
	var rights []byte
	for _, f := range files {
		if f != nil {
			rights = append(rights, unix.UnixRights(int(f.Fd()))...)
		}
	}
	return unix.Sendmsg(int(socket.Fd()), text, rights, nil, unix.MSG_NOSIGNAL)
}

// What the verbs take and give.
type (
	mountArgs struct{ ID MountID }
	lazyArgs  struct {
		ID   MountID
		Lazy bool
	}
	bindArgs struct {
		ID      MountID
		Dir, At string
	}
	ownArgs struct {
		Top, Rel string
		To       Ownership
	}
	rmdirArgs struct {
		Dir      string
		UID, GID int
	}
	dirArgs    struct{ Dir string }
	pathArgs   struct{ Path string }
	signalArgs struct {
		PID   int
		Start string
		Sig   syscall.Signal
	}
	pidArgs struct{ PID int }
)
