package gateway

import (
	"io"
	"net"
)

// relay passes everything from the client to its postgres and back, until one of the two is gone. news is a message that
// the client gets before its session begins; nil: none.
func (c *conn) relay(backend net.Conn, s server, news []byte) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(backend, c.nc) // how the client ends does not matter: its postgres is told that it has
		closeWrite(backend)
	}()
	if forget, err := c.passStartup(backend, s, news); err == nil {
		io.Copy(c.nc, backend) // likewise
		forget()
	}
	closeWrite(c.nc)
	c.raw.Close() // this and the next end the other copy, whichever side it waits for
	backend.Close()
	<-done
}

// passStartup passes the messages of a postgres up to the first ReadyForQuery, with news before that. forget makes the key
// for cancel requests void, which was between them; with an error there is none to forget.
func (c *conn) passStartup(backend net.Conn, s server, news []byte) (forget func(), err error) {
	forget = func() {}
	for {
		kind, raw, err := readMessage(backend)
		if err != nil {
			forget()
			return nil, err
		}
		switch kind {
		case msgBackendKeyData:
			forget()
			forget = c.g.keys.add(string(raw[5:]), s)
		case msgReadyForQuery:
			c.letIn.Store(true)
			raw = append(news, raw...)
		}
		if _, err := c.nc.Write(raw); err != nil {
			forget()
			return nil, err
		}
		if kind == msgReadyForQuery {
			return forget, nil
		}
	}
}
