package pageserver_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/access"
	"zenith/internal/pageserver"
)

// FuzzServer sends any bytes after a startup. The server must end the connection when we
// end ours, and must not have met a panic, which it would report as an internal error.
func FuzzServer(f *testing.F) {
	encode := func(msgs ...pgproto3.FrontendMessage) []byte {
		var b []byte
		for _, m := range msgs {
			var err error
			if b, err = m.Encode(b); err != nil {
				f.Fatal(err)
			}
		}
		return b
	}
	f.Add(encode(&pgproto3.Query{String: "status; tenant_list"}))
	f.Add(encode(&pgproto3.Parse{Query: "do_gc $1 $2 $3"}, &pgproto3.Bind{Parameters: [][]byte{{'a'}, {'b'}, {'1'}}}, &pgproto3.Execute{MaxRows: 1}, &pgproto3.Sync{}))
	f.Add(encode(&pgproto3.Query{String: "pagestream a b"}, &pgproto3.CopyData{Data: make([]byte, 26)}, &pgproto3.CopyFail{}))
	f.Add(encode(&pgproto3.FunctionCall{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Close{ObjectType: 'S'}, &pgproto3.Flush{}))
	f.Add(encode(&pgproto3.Query{String: "START_REPLICATION SLOT s PHYSICAL 0/300000 TIMELINE 2"}, &pgproto3.CopyData{Data: []byte("r")}, &pgproto3.CopyDone{}))
	f.Add(encode(&pgproto3.Query{String: "BASE_BACKUP (LABEL 'x', COMPRESSION 'gzip', COMPRESSION_DETAIL 'level=1')"}))
	f.Add(encode(&pgproto3.Query{String: "BASE_BACKUP LABEL 'x' FAST MAX_RATE 1048576 MANIFEST 'yes'"}))
	startup := encode(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber,
		Parameters: map[string]string{"user": "u", "replication": "true"}}) // which takes the other commands, too

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	server := pageserver.New(newFake(), pageserver.Options{Access: &access.Policy{Method: access.Trust}, Replication: newFakeBranch(1 << 10)})
	go server.Serve(l)
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, input []byte) {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(patience))
		go func() {
			nc.Write(append(append([]byte{}, startup...), input...)) // the server may hang up before it has all
			nc.(*net.TCPConn).CloseWrite()
		}()
		out, err := io.ReadAll(nc)
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Fatal("the server keeps the connection")
		}
		noPanic(t, out)
	})
}

// noPanic looks for an internal error among the server's messages.
func noPanic(t *testing.T, out []byte) {
	for len(out) >= 5 {
		n := 1 + int(out[1])<<24 + int(out[2])<<16 + int(out[3])<<8 + int(out[4])
		if n > len(out) {
			return // cut off
		}
		var e pgproto3.ErrorResponse
		if out[0] == 'E' && e.Decode(out[5:n]) == nil && e.Code == "XX000" {
			t.Fatalf("internal error: %s", e.Message)
		}
		out = out[n:]
	}
}
