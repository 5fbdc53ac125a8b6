package pageserver_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/api"
	"zenith/internal/pageserver"
	"zenith/internal/pg"
)

// fakeBranch is a branch for replication clients: WAL from first on, which grows.
type fakeBranch struct {
	api.SlotService
	mu      sync.Mutex
	named   string // what was asked for
	version *pg.Version
	first   pg.LSN
	wal     []byte
	grown   chan struct{}
	failAt  int // of an archive's bytes, if > 0
	history pg.History
	file    string // the history file of the last timeline; "": there is none
}

const fakeSeg = 1 << 20

func newFakeBranch(n int) *fakeBranch {
	return &fakeBranch{version: pg.V15, first: 3 * fakeSeg, wal: make([]byte, n), grown: make(chan struct{}), history: pg.OnTLI(2)}
}

func (f *fakeBranch) Replicate(_ context.Context, tenant, branch string) (api.ReplicationSource, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.named = tenant + "/" + branch
	if branch == "nosuch" {
		return nil, api.Errorf(api.ErrNotFound, "no such branch")
	}
	return f, nil
}

func noSlot() error { return api.Errorf(api.ErrNotFound, "no such slot") }

func (f *fakeBranch) Acquire(string, bool) error      { return noSlot() }
func (f *fakeBranch) Drop(string, bool) error         { return noSlot() }
func (f *fakeBranch) Get(string) (pg.LSN, error)      { return 0, noSlot() }
func (f *fakeBranch) Create(string, bool, bool) error { return nil }

func (f *fakeBranch) Close() error           { return nil }
func (f *fakeBranch) Version() *pg.Version   { return f.version }
func (f *fakeBranch) Slots() api.SlotService { return f }

func (f *fakeBranch) System(context.Context) (api.ReplicationSystem, error) {
	return api.ReplicationSystem{
		SystemID: api.SystemID{SysID: 7, TLI: f.History().TLI(), XLogPos: f.Head()}, SegSize: fakeSeg,
		Settings: []api.Setting{{Name: "wal_level", Value: "replica"}},
	}, nil
}

func (f *fakeBranch) History() pg.History {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.history
}

func (f *fakeBranch) TimelineHistory(_ context.Context, tli pg.TLI) ([]byte, error) {
	if f.file == "" || tli != f.History().TLI() {
		return nil, api.Errorf(api.ErrNotFound, "no such file")
	}
	return []byte(f.file), nil
}

func (f *fakeBranch) Head() pg.LSN {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first + pg.LSN(len(f.wal))
}

func (f *fakeBranch) grow(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wal = append(f.wal, b...)
	close(f.grown)
	f.grown = make(chan struct{})
}

func (f *fakeBranch) WaitLSN(ctx context.Context, lsn pg.LSN) error {
	for f.Head() < lsn {
		f.mu.Lock()
		grown := f.grown
		f.mu.Unlock()
		select {
		case <-grown:
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (f *fakeBranch) ReadWAL(p []byte, at pg.LSN) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at < f.first || at >= f.first+pg.LSN(len(f.wal)) {
		return 0, io.EOF
	}
	return copy(p, f.wal[at-f.first:]), nil
}

func (f *fakeBranch) BaseBackup(context.Context, api.BackupOptions) (api.Backup, error) {
	return fakeBackup{f.failAt}, nil
}

type fakeBackup struct{ failAt int }

func (fakeBackup) Close() error { return nil }
func (fakeBackup) Info() api.BackupInfo {
	return api.BackupInfo{Start: 1, Stop: 2, StartTLI: 2, TLI: 2, Archives: []api.BackupArchive{{OID: 5, Location: "/x", Size: 4096}, {Size: -1}}}
}

func (b fakeBackup) WriteArchive(_ context.Context, i int, w io.Writer) error {
	if _, err := w.Write(bytes.Repeat([]byte{byte('a' + i)}, 100<<10)); err != nil {
		return err
	}
	if b.failAt > 0 && i == 1 {
		return api.Errorf(api.ErrCorrupt, "page 7 is damaged")
	}
	_, err := w.Write(make([]byte, 1024)) // the end of a tar archive
	return err
}

func (fakeBackup) WriteManifest(w io.Writer) error {
	_, err := io.WriteString(w, "manifest")
	return err
}

// replicate connects as a replication client.
func replicate(t *testing.T, f *fakeBranch, o pageserver.Options, params map[string]string) *wire {
	t.Helper()
	o.Replication = f
	if params == nil {
		params = map[string]string{}
	}
	params["replication"] = "true"
	return connect(t, serve(t, newFake(), o), params)
}

// TestReplicationBranch has clients name a branch in all ways.
func TestReplicationBranch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ database, options, want string }{
		{"replication", "", "/"},
		{"", "", "/"},
		{tenantA + "/dev", "", tenantA + "/dev"},
		{"dev", "", "/dev"},
		{"replication", "-c zenith.branch=dev", "/dev"},
		{"replication", `-czenith.branch=main --zenith.branch=a\ b\\c -c other=1`, `/a b\c`},
		{"main", "-c zenith.branch=" + tenantA + "/x", tenantA + "/x"},
	} {
		f := newFakeBranch(0)
		w := replicate(t, f, pageserver.Options{}, map[string]string{"database": c.database, "options": c.options})
		row := find[*pgproto3.DataRow](t, w.query("IDENTIFY_SYSTEM;"))
		if f.named != c.want || string(row.Values[0]) != "7" || string(row.Values[1]) != "2" || row.Values[3] != nil {
			t.Errorf("database=%q options=%q: named %q, want %q; %q", c.database, c.options, f.named, c.want, row.Values)
		}
	}
}

// TestReplicationVersion: to a replication client the server is of the version of its branch, to
// others, and where there is no such branch, of the default one.
func TestReplicationVersion(t *testing.T) {
	t.Parallel()
	f := newFakeBranch(0)
	f.version = &pg.Version{Release: pg.Release{Major: 99}}
	addr := serve(t, newFake(), pageserver.Options{Replication: f})
	const noSuch = "no such branch"
	for _, c := range []struct {
		params          map[string]string
		want, show, num string
	}{
		{map[string]string{"replication": "true"}, "99.0", "99.0", "990000"},
		{map[string]string{}, "15.0", "15.0", "150000"},
		{map[string]string{"replication": "true", "database": "nosuch"}, "15.0", noSuch, noSuch},
	} {
		w := rawConnect(t, addr)
		c.params["user"] = "u"
		w.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: c.params})
		told := ""
		for _, msg := range w.untilReady() {
			if p, ok := msg.(*pgproto3.ParameterStatus); ok && p.Name == "server_version" {
				told += p.Value
			}
		}
		if told != c.want {
			t.Errorf("%v: the server says that it is %q, want %q", c.params, told, c.want)
		}
		for query, want := range map[string]string{"SHOW server_version": c.show, "SHOW server_version_num": c.num} {
			if got := showValue(w, query); got != want {
				t.Errorf("%v: %s is %q, want %q", c.params, query, got, want)
			}
		}
	}
}

// showValue gives the first value of a query's answer, or how it was refused.
func showValue(w *wire, query string) string {
	for _, msg := range w.query(query) {
		switch msg := msg.(type) {
		case *pgproto3.DataRow:
			return string(msg.Values[0])
		case *pgproto3.ErrorResponse:
			return msg.Message
		}
	}
	return ""
}

// TestReplicationGrammar tells commands of PostgreSQL's grammar from others.
func TestReplicationGrammar(t *testing.T) {
	t.Parallel()
	w := replicate(t, newFakeBranch(0), pageserver.Options{}, nil)
	for _, c := range []struct{ query, code, says string }{
		{"SHOW wal_segment_size", "", "1MB"},
		{"show wal_level ;", "", "replica"},
		{"SHOW server_version", "", "15.0"},
		{"SHOW server_version_num", "", "150000"},
		{"SHOW nosuch.setting", "42704", "nosuch.setting"},
		{"SHOW", "42601", "at the end"},
		{"IDENTIFY_SYSTEM now", "42601", "now"},
		{"TIMELINE_HISTORY 2", "", "00000002.history"},
		{"TIMELINE_HISTORY 0", "42601", "invalid timeline"},
		{"TIMELINE_HISTORY 1", "58P01", "could not open file"},
		{"START_REPLICATION PHYSICAL 3/", "42601", "3"},
		{"START_REPLICATION PHYSICAL 0/300000 TIMELINE 1", "22023", "not in this server's history"},
		{"START_REPLICATION SLOT s LOGICAL 0/0", "0A000", "logical"},
		{"CREATE_REPLICATION_SLOT \"a b\" PHYSICAL", "42602", "invalid character"},
		{"CREATE_REPLICATION_SLOT s LOGICAL p", "0A000", "logical"},
		{"CREATE_REPLICATION_SLOT s PHYSICAL (SNAPSHOT 'use')", "42601", "snapshot"},
		{"BASE_BACKUP (LABEL)", "42601", "requires a parameter"},
		{"BASE_BACKUP (LABEL 'it''s', WAL 'maybe')", "42601", "Boolean"},
		{"BASE_BACKUP (LABEL 'x' PROGRESS)", "42601", "progress"},
		{"BASE_BACKUP (", "42601", "at the end"},
		{"BASE_BACKUP LABEL x", "42601", "\"x\""},
		{"BASE_BACKUP LABEL 'x', WAL", "42601", "\",\""},
		{"BASE_BACKUP SPEED 1", "42601", "speed"},
		{"BASE_BACKUP WAL WAL", "42601", "duplicate option"},
		{"BASE_BACKUP MAX_RATE 'fast'", "42601", "fast"},
		{"BASE_BACKUP MAX_RATE 31", "22003", "MAX_RATE"},
		{"BASE_BACKUP MANIFEST_CHECKSUMS 'SHA256'", "42601", "require a backup manifest"},
		{"BASE_BACKUP (SPEED 1)", "42601", "unrecognized base backup option"},
		{"BASE_BACKUP (CHECKPOINT 'later')", "42601", "checkpoint type"},
		{"BASE_BACKUP (MANIFEST_CHECKSUMS 'SHA256')", "42601", "require a backup manifest"},
		{"BASE_BACKUP (MANIFEST 'yes', MANIFEST_CHECKSUMS 'MD5')", "42601", "checksum algorithm"},
		{"BASE_BACKUP (MAX_RATE 31)", "22003", "MAX_RATE"},
		{"BASE_BACKUP (COMPRESSION 'rot13')", "42601", "unrecognized compression algorithm"},
		{"BASE_BACKUP (COMPRESSION_DETAIL '5')", "42601", "unless compression is enabled"},
		{"BASE_BACKUP (COMPRESSION 'gzip', COMPRESSION_DETAIL '10')", "42601", "between 1 and 9"},
		{"BASE_BACKUP (COMPRESSION 'gzip', COMPRESSION_DETAIL 'workers=2')", "42601", "worker count"},
		{"BASE_BACKUP (COMPRESSION 'zstd', COMPRESSION_DETAIL 'level=,')", "42601", "must be an integer"},
		{"BASE_BACKUP (TARGET 'server', TARGET_DETAIL '/x')", "0A000", "only \"client\""},
		{"BASE_BACKUP (INCREMENTAL)", "0A000", "take a full one"},
		{"UPLOAD_MANIFEST", "0A000", "take a full one"},
		{"BASE_BACKUP (TARGET_DETAIL '/x')", "42601", "without target"},
		{"status", "", "127.0.0.1:6400"}, // ordinary commands go on working
	} {
		msgs := w.query(c.query)
		got := ""
		if c.code == "" {
			for _, v := range find[*pgproto3.DataRow](t, msgs).Values {
				got += string(v) + " "
			}
		} else {
			e := find[*pgproto3.ErrorResponse](t, msgs)
			if got = e.Message; e.Code != c.code {
				t.Errorf("%s: SQLSTATE %s, want %s (%s)", c.query, e.Code, c.code, e.Message)
			}
		}
		if !strings.Contains(got, c.says) {
			t.Errorf("%s: got %q, want %q", c.query, got, c.says)
		}
	}
}

// walData reads messages up to one of WAL or the wanted kind.
func (w *wire) copyData(kind byte) []byte {
	w.t.Helper()
	for {
		d, ok := w.next().(*pgproto3.CopyData)
		if !ok || len(d.Data) == 0 {
			w.t.Fatalf("got %T, want CopyData", d)
		}
		if d.Data[0] == kind {
			return d.Data
		}
	}
}

// TestStream streams WAL that grows, is asked to say where it is, and ended.
func TestStream(t *testing.T) {
	t.Parallel()
	f := newFakeBranch(300 << 10)
	w := replicate(t, f, pageserver.Options{}, nil)
	w.send(&pgproto3.Query{String: "START_REPLICATION 0/310000 TIMELINE 2"})
	if _, ok := w.next().(*pgproto3.CopyBothResponse); !ok {
		t.Fatal("no CopyBothResponse")
	}
	at := pg.LSN(0x310000)
	read := func(until pg.LSN) {
		t.Helper()
		for at < until {
			d := w.copyData('w')
			if got := pg.LSN(binary.BigEndian.Uint64(d[1:])); got != at {
				t.Fatalf("WAL of %v, want %v", got, at)
			}
			at += pg.LSN(len(d) - 25)
			if at != until && at%8192 != 0 {
				t.Fatalf("a message ends within a page, at %v", at)
			}
		}
	}
	read(f.Head())
	for _, n := range []int{1, 100, 200 << 10} {
		f.grow(make([]byte, n))
		read(f.Head())
	}
	w.send(&pgproto3.CopyData{Data: append(append([]byte{'r'}, make([]byte, 32)...), 1)})
	if d := w.copyData('k'); pg.LSN(binary.BigEndian.Uint64(d[1:])) != at || d[17] != 0 {
		t.Errorf("keepalive %x", d)
	}
	w.send(&pgproto3.CopyData{Data: append([]byte{'h'}, make([]byte, 24)...)})
	w.send(&pgproto3.CopyDone{})
	msgs := w.untilReady()
	if _, ok := msgs[0].(*pgproto3.CopyDone); !ok || count[*pgproto3.CommandComplete](msgs) != 2 {
		t.Errorf("at the end: %#v", msgs)
	}

	// Ahead of the head, and from before what is kept: errors, and the connection lives.
	for command, want := range map[string]string{
		"START_REPLICATION 9/0":      "is ahead of the WAL flush position",
		"START_REPLICATION 0/200000": "requested WAL segment 000000020000000000000002 has already been removed",
	} {
		if e := find[*pgproto3.ErrorResponse](t, w.query(command)); !strings.Contains(e.Message, want) {
			t.Errorf("%s: %s", command, e.Message)
		}
	}
	find[*pgproto3.DataRow](t, w.query("IDENTIFY_SYSTEM"))
}

// TestStreamOverTimelines streams a branch that goes on to another timeline of PostgreSQL's, before the stream begins and
// while it runs: the stream ends there, and the client learns where to go on.
func TestStreamOverTimelines(t *testing.T) {
	t.Parallel()
	const left = 3*fakeSeg + 0x2000
	f := newFakeBranch(0x4000)
	f.history = pg.OnTLI(1).Switched(2, left)
	f.file = "1\t0/302000\tno recovery target specified\n"
	w := replicate(t, f, pageserver.Options{}, nil)
	ended := func(msgs []pgproto3.BackendMessage, tli, at string) {
		t.Helper()
		row := find[*pgproto3.DataRow](t, msgs)
		if string(row.Values[0]) != tli || string(row.Values[1]) != at || count[*pgproto3.CommandComplete](msgs) != 2 {
			t.Errorf("at the end of a timeline: %q in %#v", row.Values, msgs)
		}
	}
	stream := func(from string, at pg.LSN, end pg.LSN, grow func()) {
		t.Helper()
		w.send(&pgproto3.Query{String: "START_REPLICATION " + from})
		if _, ok := w.next().(*pgproto3.CopyBothResponse); !ok {
			t.Fatal("no CopyBothResponse")
		}
		grow()
		for at < end {
			d := w.copyData('w')
			at += pg.LSN(len(d) - 25)
		}
		if _, ok := w.next().(*pgproto3.CopyDone); !ok || at != end {
			t.Fatalf("the stream of the timeline does not end at %v; it is at %v", end, at)
		}
		w.send(&pgproto3.CopyData{Data: append(append([]byte{'r'}, make([]byte, 32)...), 1)}) // it gets no answer any more
		w.send(&pgproto3.CopyDone{})
	}
	stream("0/300000 TIMELINE 1", 3*fakeSeg, left, func() {})
	ended(w.untilReady(), "2", "0/302000")
	ended(w.query("START_REPLICATION 0/302000 TIMELINE 1"), "2", "0/302000")

	const again = 3*fakeSeg + 0x4000
	stream("0/300000 TIMELINE 2", 3*fakeSeg, again, func() {
		f.mu.Lock()
		f.history = f.history.Switched(3, again)
		f.mu.Unlock()
		f.grow(make([]byte, 100))
	})
	ended(w.untilReady(), "3", "0/304000")

	for command, want := range map[string]string{
		"START_REPLICATION 0/302008 TIMELINE 1": "starting point 0/302008 on timeline 1 is not in this server's history",
		"START_REPLICATION 0/304008 TIMELINE 4": "requested timeline 4 is not in this server's history",
		"START_REPLICATION 0/200000 TIMELINE 3": "requested WAL segment 000000030000000000000002 has already been removed",
		"TIMELINE_HISTORY 1":                    `could not open file "pg_wal/00000001.history": No such file or directory`,
	} {
		if e := find[*pgproto3.ErrorResponse](t, w.query(command)); !strings.Contains(e.Message, want) {
			t.Errorf("%s: %s", command, e.Message)
		}
	}
	row := find[*pgproto3.DataRow](t, w.query("TIMELINE_HISTORY 3"))
	if string(row.Values[0]) != "00000003.history" || string(row.Values[1]) != f.file {
		t.Errorf("history: %q", row.Values)
	}
}

// TestStreamTimeout has a client that says nothing: it is asked, and then cut off.
func TestStreamTimeout(t *testing.T) {
	t.Parallel()
	f := newFakeBranch(10)
	w := replicate(t, f, pageserver.Options{SenderTimeout: 2 * time.Second}, nil)
	w.send(&pgproto3.Query{String: "START_REPLICATION 0/300000"})
	w.next()
	if d := w.copyData('k'); d[17] != 1 {
		t.Error("the keepalive asks for no reply")
	}
	e, ok := w.next().(*pgproto3.ErrorResponse)
	if !ok || e.Severity != "FATAL" || !strings.Contains(e.Message, "replication timeout") {
		t.Errorf("after the timeout: %#v", e)
	}
}

// TestBaseBackupFrames reads a base backup as pg_basebackup does.
func TestBaseBackupFrames(t *testing.T) {
	t.Parallel()
	w := replicate(t, newFakeBranch(0), pageserver.Options{}, nil)
	msgs := w.query("BASE_BACKUP (LABEL 'x', PROGRESS, MANIFEST 'yes', TARGET 'client')")
	if n := count[*pgproto3.CommandComplete](msgs); n != 4 || count[*pgproto3.CopyDone](msgs) != 1 || count[*pgproto3.DataRow](msgs) != 4 {
		t.Errorf("%d results, of them: %#v", n, msgs)
	}
	var archives []string
	var content bytes.Buffer
	for _, m := range msgs {
		if d, ok := m.(*pgproto3.CopyData); ok && d.Data[0] != 'p' {
			if d.Data[0] == 'n' || d.Data[0] == 'm' {
				archives = append(archives, string(d.Data))
			} else {
				content.Write(d.Data[1:])
			}
		}
	}
	if strings.Join(archives, ",") != "n5.tar\x00/x\x00,nbase.tar\x00\x00,m" || content.Len() != 202<<10+len("manifest") {
		t.Errorf("archives %q, %d bytes", archives, content.Len())
	}
}

// TestOldBaseBackup reads a base backup of a branch of PostgreSQL 14 as that version's pg_basebackup does: a stream
// for each archive, without the blocks that end it, and one for the manifest.
func TestOldBaseBackup(t *testing.T) {
	t.Parallel()
	f := newFakeBranch(0)
	f.version = pg.V14
	w := replicate(t, f, pageserver.Options{}, nil)
	command := "BASE_BACKUP LABEL 'x' PROGRESS FAST WAL NOWAIT MAX_RATE 1048576 TABLESPACE_MAP NOVERIFY_CHECKSUMS MANIFEST 'yes' MANIFEST_CHECKSUMS 'SHA256'"
	msgs := w.query(command)
	if n := count[*pgproto3.CommandComplete](msgs); n != 4 || count[*pgproto3.DataRow](msgs) != 4 {
		t.Errorf("%d results, of them: %#v", n, msgs)
	}
	var streams []string
	var content bytes.Buffer
	for _, m := range msgs {
		switch m := m.(type) {
		case *pgproto3.CopyData:
			content.Write(m.Data)
		case *pgproto3.CopyDone:
			streams = append(streams, content.String())
			content.Reset()
		}
	}
	want := []string{strings.Repeat("a", 100<<10), strings.Repeat("b", 100<<10), "manifest"}
	if !slices.Equal(streams, want) {
		t.Errorf("%d streams, not an archive's each", len(streams))
	}

	f.failAt = 1
	msgs = w.query("BASE_BACKUP")
	if count[*pgproto3.CopyDone](msgs) != 1 || count[*pgproto3.CommandComplete](msgs) != 2 {
		t.Error("a broken copy has an end")
	}
	if e := find[*pgproto3.ErrorResponse](t, msgs); e.Code != "XX001" {
		t.Errorf("a page that cannot be read: %#v", e)
	}
}

// TestBaseBackupFails has a page that cannot be read in the middle: no end of a copy, no
// result behind it, and the connection lives.
func TestBaseBackupFails(t *testing.T) {
	t.Parallel()
	f := newFakeBranch(0)
	f.failAt = 1
	w := replicate(t, f, pageserver.Options{}, nil)
	for _, z := range []string{"none", "gzip", "zstd", "lz4"} {
		msgs := w.query("BASE_BACKUP (COMPRESSION '" + z + "')")
		if count[*pgproto3.CopyDone](msgs) != 0 || count[*pgproto3.CommandComplete](msgs) != 2 {
			t.Errorf("%s: a broken copy has an end", z)
		}
		if e := find[*pgproto3.ErrorResponse](t, msgs); e.Code != "XX001" {
			t.Errorf("%s: %#v", z, e)
		}
	}
}
