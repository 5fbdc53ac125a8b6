package pageserver_test

import (
	"encoding/binary"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/api"
	"zenith/internal/pageserver"
)

func TestSimpleQuery(t *testing.T) {
	f := newFake()
	w := connect(t, serve(t, f, pageserver.Options{}), nil)

	msgs := w.query("status")
	d := find[*pgproto3.RowDescription](t, msgs)
	equal(t, string(d.Fields[0].Name)+","+string(d.Fields[1].Name), "name,value")
	equal(t, count[*pgproto3.DataRow](msgs), 2)
	equal(t, string(find[*pgproto3.CommandComplete](t, msgs).CommandTag), "SELECT 2")

	equal(t, count[*pgproto3.EmptyQueryResponse](w.query(" ; ")), 1)
	msgs = w.query("SET a = 'b'; set client_encoding to utf8; LSN " + tenantA + " main")
	equal(t, count[*pgproto3.CommandComplete](msgs), 3)
	equal(t, string(find[*pgproto3.DataRow](t, msgs).Values[0]), "0/16B3748")

	f.err = api.Errorf(api.ErrNotFound, "tenant x: no such tenant")
	msgs = w.query("tenant_list; status")
	e := find[*pgproto3.ErrorResponse](t, msgs)
	equal(t, []string{e.Severity, e.Code, e.Message}, []string{"ERROR", "42704", "tenant x: no such tenant"})
	equal(t, f.last(), "tenants") // what comes after the error is not run
	f.err = nil
	equal(t, count[*pgproto3.DataRow](w.query("tenant_list")), 1)
}

func TestRepliesOfTheContract(t *testing.T) {
	w := connect(t, serve(t, newFake(), pageserver.Options{}), nil)
	tests := []struct{ query, columns, row string }{
		{"identify_system", "systemid,timeline,xlogpos,dbname", "9223372036854775808|1|0/16B3748|NULL"},
		{"IDENTIFY_SYSTEM", "systemid,timeline,xlogpos,dbname", "9223372036854775808|1|0/16B3748|NULL"},
		{"tenant_list", "tenant_list", `["` + tenantA + `"]`},
		{"branch_list " + tenantA, "branch_list", `[{"name":"main","timeline_id":"` + lineA +
			`","latest_valid_lsn":"0/2000000","ancestor_id":null,"ancestor_lsn":null},{"name":"a \"b\" c","timeline_id":"` + lineB +
			`","latest_valid_lsn":"0/16B3800","ancestor_id":"` + lineA + `","ancestor_lsn":"0/16B3748"}]`},
		{"branch_create " + tenantA + " x main", "branch_create", `{"name":"a \"b\" c","timeline_id":"` + lineB +
			`","latest_valid_lsn":"0/16B3800","ancestor_id":"` + lineA + `","ancestor_lsn":"0/16B3748"}`},
		{"branch_delete " + tenantA + " x", "", ""},
		{"tenant_create " + tenantA, "", ""},
		{"do_gc " + tenantA + " " + lineA + " 1000", "n_relations,truncated,deleted,dropped,elapsed", "1|2|3|4|5"},
		{"repair " + tenantA, "done", "mended"},
		{"lease " + tenantA + " " + lineA + " 0/16B3748", "valid_until", "2026-11-22 10:00:00.123456+00"},
		{"callmemaybe " + tenantA + " " + lineA + " 'host=x port=1'", "", ""},
		{"umount /mnt/a", "", ""},
		{"show server_version", "setting", "15.0"},
	}
	for _, tt := range tests {
		msgs := w.query(tt.query)
		var columns, row []string
		for _, m := range msgs {
			switch m := m.(type) {
			case *pgproto3.RowDescription:
				for _, f := range m.Fields {
					columns = append(columns, string(f.Name))
				}
			case *pgproto3.DataRow:
				for _, v := range m.Values {
					if v == nil {
						v = []byte("NULL")
					}
					row = append(row, string(v))
				}
			case *pgproto3.ErrorResponse:
				t.Errorf("%s: %s", tt.query, m.Message)
			}
		}
		equal(t, tt.query+": "+strings.Join(columns, ",")+" "+strings.Join(row, "|"), tt.query+": "+tt.columns+" "+tt.row)
	}
}

func TestBadCommands(t *testing.T) {
	w := connect(t, serve(t, newFake(), pageserver.Options{}), nil)
	tests := []struct{ query, code string }{
		{"select 1", "42601"},
		{`"`, "42601"},
		{"branch_list", "42601"},
		{"branch_list a b", "42601"},
		{"lease " + tenantA + " main notalsn", "22023"},
		{"fullbackup " + tenantA + " main 12345", "22023"},
		{"mount " + tenantA + " main relative/dir", "22023"},
		{"mount " + tenantA + " main /dir scratched", "42601"},
		{"umount relative", "22023"},
		{"pg_start " + tenantA + " main port=0", "22023"},
		{"pg_start " + tenantA + " main port", "22023"},
		{"pg_stop " + tenantA + " main kill", "22023"},
		{"page_dump " + tenantA + " main base/1/2 -1", "22023"},
		{"do_gc " + tenantA + " main 7d", "22023"},
		{"gc " + tenantA + " main soon", "22023"},
		{"lsn $1 main", "42601"},
		{"pg_exec_end", "42704"},
		{"show nothing", "42704"},
	}
	for _, tt := range tests {
		e := find[*pgproto3.ErrorResponse](t, w.query(tt.query))
		if e.Code != tt.code || strings.Contains(e.Message, "\n") {
			t.Errorf("%s: got %s %q, want %s", tt.query, e.Code, e.Message, tt.code)
		}
	}
	equal(t, count[*pgproto3.DataRow](w.query("tenant_list")), 1)
}

func TestExtendedProtocol(t *testing.T) {
	f := newFake()
	w := connect(t, serve(t, f, pageserver.Options{}), nil)

	w.send(&pgproto3.Parse{Name: "s", Query: "do_gc $1 $2 $3", ParameterOIDs: []uint32{0, 25, 20}},
		&pgproto3.Describe{ObjectType: 'S', Name: "s"}, &pgproto3.Sync{})
	msgs := w.untilReady()
	equal(t, find[*pgproto3.ParameterDescription](t, msgs).ParameterOIDs, []uint32{25, 25, 20})
	equal(t, find[*pgproto3.RowDescription](t, msgs).Fields[4].DataTypeOID, uint32(20))

	w.send(&pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "s", ParameterFormatCodes: []int16{0, 0, 1}, ResultFormatCodes: []int16{1},
		Parameters: [][]byte{[]byte(tenantA), []byte("my branch"), binary.BigEndian.AppendUint64(nil, 4096)}},
		&pgproto3.Describe{ObjectType: 'P', Name: "p"}, &pgproto3.Execute{Portal: "p"}, &pgproto3.Sync{})
	msgs = w.untilReady()
	equal(t, find[*pgproto3.DataRow](t, msgs).Values[4], binary.BigEndian.AppendUint64(nil, 5))
	equal(t, find[*pgproto3.RowDescription](t, msgs).Fields[0].Format, int16(1))
	equal(t, count[*pgproto3.RowDescription](msgs), 1)
	equal(t, f.last(), "gc "+tenantA+` "my branch" {Bytes:4096 Time:0s Set:true} true`)

	// What is no query has no rows; an empty one is answered as such.
	w.send(&pgproto3.Parse{Query: "umount /x"}, &pgproto3.Describe{ObjectType: 'S'}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
	msgs = w.untilReady()
	equal(t, count[*pgproto3.NoData](msgs), 1)
	equal(t, string(find[*pgproto3.CommandComplete](t, msgs).CommandTag), "UMOUNT")
	w.send(&pgproto3.Parse{Query: ""}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
	equal(t, count[*pgproto3.EmptyQueryResponse](w.untilReady()), 1)
}

func TestExtendedErrorsSkipToSync(t *testing.T) {
	f := newFake()
	w := connect(t, serve(t, f, pageserver.Options{}), nil)
	bad := []struct {
		code string
		msgs []pgproto3.FrontendMessage
	}{
		{"42601", []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "nonsense"}}},
		{"42601", []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "status; status"}}},
		{"42704", []pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "unknown"}}},
		{"42704", []pgproto3.FrontendMessage{&pgproto3.Execute{Portal: "unknown"}}},
		{"42704", []pgproto3.FrontendMessage{&pgproto3.Describe{ObjectType: 'S', Name: "unknown"}}},
		{"08P01", []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "lsn $1 $2"}, &pgproto3.Bind{Parameters: [][]byte{nil}}}},
		{"22023", []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "lsn $1 $2"}, &pgproto3.Bind{Parameters: [][]byte{nil, nil}}}},
		{"22023", []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "status"}, &pgproto3.Bind{ResultFormatCodes: []int16{7}}}},
		{"42710", []pgproto3.FrontendMessage{&pgproto3.Parse{Name: "x", Query: "status"}, &pgproto3.Parse{Name: "x", Query: "status"}}},
	}
	for i, tt := range bad {
		w.send(tt.msgs...)
		w.send(&pgproto3.Parse{Query: "branch_delete T skipped"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
		msgs := w.untilReady()
		if e := find[*pgproto3.ErrorResponse](t, msgs); e.Code != tt.code || count[*pgproto3.ErrorResponse](msgs) != 1 {
			t.Errorf("case %d: got %s %q, want %s once", i, e.Code, e.Message, tt.code)
		}
	}
	if strings.Contains(f.last(), "skipped") {
		t.Error("a command between an error and Sync was run")
	}
	w.send(&pgproto3.FunctionCall{})
	equal(t, find[*pgproto3.ErrorResponse](t, w.untilReady()).Code, "0A000")
}

func TestPortalInPieces(t *testing.T) {
	f := newFake()
	f.lines = "1\n2\n3\n"
	w := connect(t, serve(t, f, pageserver.Options{}), nil)
	w.send(&pgproto3.Parse{Query: "wal_dump T main"}, &pgproto3.Bind{}, &pgproto3.Execute{MaxRows: 2}, &pgproto3.Execute{MaxRows: 2}, &pgproto3.Sync{})
	msgs := w.untilReady()
	equal(t, []int{count[*pgproto3.DataRow](msgs), count[*pgproto3.PortalSuspended](msgs), count[*pgproto3.CommandComplete](msgs)}, []int{3, 1, 1})
}

func TestCopyOutInBothProtocols(t *testing.T) {
	f := newFake()
	f.export = []byte(strings.Repeat("tar", 50000))
	w := connect(t, serve(t, f, pageserver.Options{}), nil)
	check := func(msgs []pgproto3.BackendMessage) {
		t.Helper()
		var got []byte
		for _, m := range msgs {
			if d, ok := m.(*pgproto3.CopyData); ok {
				got = append(got, d.Data...)
			}
		}
		equal(t, string(got) == string(f.export), true)
		equal(t, []int{count[*pgproto3.CopyOutResponse](msgs), count[*pgproto3.CopyDone](msgs), count[*pgproto3.CommandComplete](msgs)}, []int{1, 1, 1})
	}
	check(w.query("fullbackup " + tenantA + " main 0/16B3748"))
	equal(t, f.last(), "export "+tenantA+` "main@0/16B3748" skip=false`)
	w.send(&pgproto3.Parse{Query: "basebackup $1 main"}, &pgproto3.Bind{Parameters: [][]byte{[]byte(tenantA)}}, &pgproto3.Describe{ObjectType: 'P'},
		&pgproto3.Execute{}, &pgproto3.Sync{})
	check(w.untilReady())
	equal(t, f.last(), "export "+tenantA+` "main" skip=true`)

	f.failAt = 10
	msgs := w.query("export " + tenantA + " main")
	equal(t, []int{count[*pgproto3.CopyDone](msgs), count[*pgproto3.CommandComplete](msgs), count[*pgproto3.ErrorResponse](msgs)}, []int{0, 0, 1})
	equal(t, count[*pgproto3.DataRow](w.query("tenant_list")), 1)
}

func TestPagestreamOnTheWire(t *testing.T) {
	w := connect(t, serve(t, newFake(), pageserver.Options{}), nil)
	w.send(&pgproto3.Query{String: "pagestream " + tenantA + " " + lineA})
	if _, ok := w.next().(*pgproto3.CopyBothResponse); !ok {
		t.Fatal("no CopyBothResponse")
	}
	request := func(tag byte, rel uint32, fork byte, blk uint32) []byte {
		b := []byte{tag}
		for _, v := range []uint32{1663, 5, rel} {
			b = binary.BigEndian.AppendUint32(b, v)
		}
		b = binary.BigEndian.AppendUint32(append(b, fork), blk)
		return binary.BigEndian.AppendUint64(b, 0x16B3748)
	}
	reply := func(req []byte) []byte {
		t.Helper()
		w.send(&pgproto3.CopyData{Data: req})
		return w.next().(*pgproto3.CopyData).Data
	}
	equal(t, reply(request(0, 16384, 0, 0)), []byte{100, 1, 0, 0, 0, 42})
	equal(t, reply(request(0, 9, 0, 0))[:2], []byte{100, 0})
	equal(t, reply(request(1, 16384, 0, 0)), []byte{101, 1, 0, 0, 0, 42})
	page := reply(request(2, 16384, 1, 3))
	equal(t, []any{len(page), page[0], page[1], strings.Trim(string(page[6:]), "\x00")}, []any{6 + 8192, byte(102), byte(1), "1663/5/16384_fsm block 3 at 0/16B3748"})
	for _, bad := range [][]byte{nil, {1}, request(3, 1, 0, 0), request(2, 1, 4, 0), request(2, 16384, 0, 99)} {
		if got := reply(bad); got[0] != 103 || len(got) < 10 {
			t.Errorf("request %x: got %q, want an error", bad, got)
		}
	}
	w.send(&pgproto3.CopyDone{})
	equal(t, count[*pgproto3.CommandComplete](w.untilReady()), 1)
	equal(t, count[*pgproto3.DataRow](w.query("tenant_list")), 1)
}

func TestPagestreamEndsByCopyFailAndCancel(t *testing.T) {
	addr := serve(t, newFake(), pageserver.Options{})
	w := connect(t, addr, nil)
	w.send(&pgproto3.Query{String: "pagestream " + tenantA + " " + lineA})
	w.next()
	w.send(&pgproto3.CopyFail{Message: "enough"})
	equal(t, strings.Contains(find[*pgproto3.ErrorResponse](t, w.untilReady()).Message, "enough"), true)

	w.send(&pgproto3.Query{String: "pagestream " + tenantA + " " + lineA})
	w.next()
	rawConnect(t, addr).send(&pgproto3.CancelRequest{ProcessID: w.key.ProcessID, SecretKey: w.key.SecretKey})
	equal(t, find[*pgproto3.ErrorResponse](t, w.untilReady()).Code, "57014")
	equal(t, count[*pgproto3.DataRow](w.query("tenant_list")), 1)
}

func TestCancelRequest(t *testing.T) {
	f := newFake()
	f.block = true
	addr := serve(t, f, pageserver.Options{})
	w := connect(t, addr, nil)
	w.send(&pgproto3.Query{String: "lsn " + tenantA + " main"})
	<-f.began
	wrong := rawConnect(t, addr)
	wrong.send(&pgproto3.CancelRequest{ProcessID: w.key.ProcessID, SecretKey: w.key.SecretKey + 1})
	if _, err := wrong.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("cancel connection: got %v, want its end", err)
	}
	rawConnect(t, addr).send(&pgproto3.CancelRequest{ProcessID: w.key.ProcessID, SecretKey: w.key.SecretKey})
	e := find[*pgproto3.ErrorResponse](t, w.untilReady())
	equal(t, e.Code, "57014")
	equal(t, count[*pgproto3.DataRow](w.query("tenant_list")), 1)
}

// TestClientGoneEndsTheCommand: a command of a client that left does not run on.
func TestClientGoneEndsTheCommand(t *testing.T) {
	f := newFake()
	f.block = true
	f.export = make([]byte, 10)
	addr := serve(t, f, pageserver.Options{})
	for _, q := range []string{"lsn " + tenantA + " main", "export " + tenantA + " main"} {
		w := connect(t, addr, nil)
		w.send(&pgproto3.Query{String: q})
		<-f.began
		w.Close()
		<-f.ended
	}
	w := connect(t, addr, nil)
	w.send(&pgproto3.Parse{Query: "lsn " + tenantA + " main"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
	<-f.began
	w.Close()
	<-f.ended
}

func TestEncryptionIsDeclined(t *testing.T) {
	addr := serve(t, newFake(), pageserver.Options{})
	w := rawConnect(t, addr)
	for range 2 {
		w.send(&pgproto3.SSLRequest{})
		answer := make([]byte, 1)
		if _, err := io.ReadFull(w.Conn, answer); err != nil || answer[0] != 'N' {
			t.Fatalf("got %q, %v, want N", answer, err)
		}
	}
	w.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{"user": "u"}})
	w.untilReady()
}

func TestReplicationConnectionIdentifiesItsBranch(t *testing.T) {
	f := newFake()
	w := connect(t, serve(t, f, pageserver.Options{}), map[string]string{"replication": "true", "database": tenantA + "/dev"})
	w.query("IDENTIFY_SYSTEM")
	equal(t, f.last(), `identify "`+tenantA+`" "dev"`)
}

// TestHostileInput: whatever comes in, the server says no more than one error, ends the
// connection within its bounds, and serves others.
func TestHostileInput(t *testing.T) {
	addr := serve(t, newFake(), pageserver.Options{})
	hasty := serve(t, newFake(), pageserver.Options{StartupTimeout: 100 * time.Millisecond})
	startup := []byte("\x00\x00\x00\x10\x00\x03\x00\x00user\x00u\x00\x00")
	startup[3] = byte(len(startup))
	huge := binary.BigEndian.AppendUint32([]byte{'Q'}, math.MaxInt32)
	tests := map[string][]byte{
		"nothing":                      nil,
		"half a length":                {0, 0},
		"http":                         []byte("GET / HTTP/1.1\r\n\r\n"),
		"huge startup":                 {0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0},
		"negative startup":             {0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0},
		"protocol 2":                   {0, 0, 0, 8, 0, 2, 0, 0},
		"startup without end":          {0, 0, 0, 12, 0, 3, 0, 0, 'u', 's', 'e', 'r'},
		"ssl for ever":                 []byte(strings.Repeat("\x00\x00\x00\x08\x04\xd2\x16\x2f", 10)),
		"huge message":                 append(startup, huge...),
		"length of 3":                  append(startup, 'Q', 0, 0, 0, 3),
		"unknown type":                 append(startup, '!', 0, 0, 0, 4),
		"empty query body":             append(startup, 'Q', 0, 0, 0, 4),
		"query without end":            append(startup, 'Q', 0, 0, 0, 6, 'a', 'b'),
		"empty copy fail":              append(startup, 'f', 0, 0, 0, 4),
		"password nobody asked for":    append(startup, 'p', 0, 0, 0, 5, 0),
		"bind, parameter of length -2": append(startup, 'B', 0, 0, 0, 14, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe),
		"empty function call":          append(startup, 'F', 0, 0, 0, 4),
	}
	for name, input := range tests {
		t.Run(name, func(t *testing.T) {
			w := rawConnect(t, addr)
			if len(input) < 4 { // the server waits for more
				w = rawConnect(t, hasty)
			}
			if _, err := w.Conn.Write(input); err != nil {
				t.Fatal(err)
			}
			if len(input) < len(startup) || !strings.HasPrefix(string(input), string(startup)) {
				if _, err := io.ReadAll(w.Conn); err != nil && strings.Contains(err.Error(), "timeout") {
					t.Fatal("the server keeps the connection")
				}
				return
			}
			w.untilReady()
			e, ok := w.next().(*pgproto3.ErrorResponse)
			if !ok || e.Severity != "FATAL" || e.Code != "08P01" {
				t.Errorf("got %+v, want a fatal protocol violation", e)
			}
			if _, err := w.Receive(); err == nil || strings.Contains(err.Error(), "timeout") {
				t.Errorf("got %v, want the end of the connection", err)
			}
		})
	}
	must(dial(t, addr).Status(t.Context()))(t)
}

func TestTooManyClients(t *testing.T) {
	addr := serveTCP(t, newFake(), pageserver.Options{MaxConns: 2, Access: trust})
	connect(t, addr, nil)
	second := connect(t, addr, nil)
	if _, err := pageserver.Dial(t.Context(), addr); err == nil || !strings.Contains(err.Error(), "too many clients") {
		t.Errorf("got %v", err)
	}
	second.send(&pgproto3.Terminate{})
	io.ReadAll(second.Conn)
	deadline := time.Now().Add(patience)
	for {
		c, err := pageserver.Dial(t.Context(), addr)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestAbandonedCopyIsCutOff: a client that stops reading does not hold the server for ever.
func TestAbandonedCopyIsCutOff(t *testing.T) {
	f := newFake()
	f.export = make([]byte, 64<<20)
	addr := serveTCP(t, f, pageserver.Options{WriteTimeout: 200 * time.Millisecond, MaxConns: 1, Access: trust})
	w := connect(t, addr, nil)
	w.send(&pgproto3.Query{String: "export " + tenantA + " main"})
	deadline := time.Now().Add(patience)
	for {
		c, err := pageserver.Dial(t.Context(), addr)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the abandoned connection is still there: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
