package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"zenith/internal/api"
)

// waitReady returns when the server accepts connections.
func (p *Server) waitReady(ctx context.Context) error {
	asking, stop := context.WithTimeout(ctx, p.timeouts.Start)
	defer stop()
	accepted := make(chan struct{})
	var asker sync.WaitGroup
	defer asker.Wait()
	defer stop()
	asker.Go(func() {
		if waitAccepts(asking, p.port) == nil {
			close(accepted)
		}
	})
	select {
	case <-p.done: // whoever accepts connections on its port
		return fmt.Errorf("postgres did not start: %s", p.lastWords())
	case <-asking.Done():
		if err := ctx.Err(); err != nil {
			return err
		}
		return api.Errorf(api.ErrTimeout, "postgres on port %d does not accept connections after %v", p.port, p.timeouts.Start)
	case <-accepted:
		if !p.Running() { // another program has the port
			return fmt.Errorf("postgres did not start: %s", p.lastWords())
		}
		return nil
	}
}

// waitAccepts asks until a server on the port accepts connections, or ctx ends.
func waitAccepts(ctx context.Context, port int) error {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !accepts(ctx, port) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
	return nil
}

// lastWords gives the server's reason for its end: the first FATAL message of its log, or
// the last line if there is none.
func (p *Server) lastWords() string {
	out, err := os.ReadFile(p.logPath)
	if err != nil || int64(len(out)) < p.logFrom {
		return "no log"
	}
	out = out[p.logFrom:]
	for line := range bytes.Lines(out) {
		if _, msg, ok := bytes.Cut(line, []byte("FATAL:")); ok {
			return string(bytes.TrimSpace(msg))
		}
	}
	return lastLine(out)
}

// accepts reports whether a server on the port lets a client in: it answers a startup
// packet with an authentication request, not with "the database system is starting up".
func accepts(ctx context.Context, port int) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	params := "\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00"
	packet := binary.BigEndian.AppendUint32(nil, uint32(4+len(params)))
	if _, err := conn.Write(append(packet, params...)); err != nil {
		return false
	}
	var kind [1]byte
	if _, err := io.ReadFull(conn, kind[:]); err != nil {
		return false
	}
	// Any error but 57P03 (cannot_connect_now) is an answer of a server that is ready: there
	// may be no role of that name, or pg_hba.conf may refuse it.
	return kind[0] == 'R' || kind[0] == 'E' && !bytes.Contains(readSome(conn), []byte("57P03"))
}

// readSome gives what one read of the answer gives, nil for an error.
func readSome(r io.Reader) []byte {
	buf := make([]byte, 1024)
	n, err := r.Read(buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

// FreePort asks the kernel for a port of 127.0.0.1 that nobody listens on.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// CheckPort makes sure that nobody listens on a port that the user named. ErrBusy: somebody does.
func CheckPort(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return api.Errorf(api.ErrBusy, "port %d: already in use", port)
	}
	return l.Close()
}
