package receiver

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zenith/internal/pg"
	"zenith/repo/repotest"
)

func TestParseServer(t *testing.T) {
	t.Parallel()
	for _, conninfo := range []string{
		"host=db7 port=5433 user=repl password=geheim application_name=zen primary_slot_name=keep_1",
		"postgresql://repl:geheim@db7:5433/?application_name=zen&primary_slot_name=keep_1",
	} {
		s, err := ParseServer(conninfo, Rules{})
		if err != nil {
			t.Fatal(err)
		}
		if want := "host=db7 port=5433 user=repl application_name=zen primary_slot_name=keep_1"; s.String() != want {
			t.Errorf("got %s, want %s", s, want)
		}
		if s.cfg.RuntimeParams["replication"] != "true" || s.cfg.RuntimeParams[slotKey] != "" || s.cfg.Password != "geheim" {
			t.Errorf("the server would be told %v", s.cfg.RuntimeParams)
		}
	}
	s, err := ParseServer("host=db7 user=repl", Rules{})
	if err != nil || s.cfg.RuntimeParams["application_name"] != usualName || s.slot != "" {
		t.Errorf("defaults: %v, %v", s, err)
	}
	for _, bad := range []string{"host", "host=x port=y", `host=x primary_slot_name='a"b'`, "host=x primary_slot_name=Big",
		"host=x primary_slot_name=" + strings.Repeat("x", 64)} {
		if _, err := ParseServer(bad, Rules{}); !errors.Is(err, ErrConnInfo) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A server may be followed only if its WAL can be the branch's.
func TestBelongs(t *testing.T) {
	tl := repotest.Create(t, repotest.Open(t, repotest.Redo), "main")
	good := identity{version: tl.Version(), sysID: repotest.SysID, tli: tl.Info().TLI, end: tl.LastLSN()}
	for _, c := range []struct {
		change func(id *identity)
		want   error
	}{
		{func(*identity) {}, nil},
		{func(id *identity) { id.version = &pg.Version{Release: pg.Release{Major: 99}} }, ErrVersion},
		{func(id *identity) { id.sysID++ }, ErrForeign},
		{func(id *identity) { id.tli++ }, ErrTimeline},
		{func(id *identity) { id.end-- }, ErrDiverged},
	} {
		id := good
		c.change(&id)
		if err := belongs(id, pg.OnTLI(id.tli), tl); !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v, want %v", id, err, c.want)
		}
	}
}

func TestParseIncoming(t *testing.T) {
	t.Parallel()
	be := binary.BigEndian
	wal := append([]byte{'w'}, make([]byte, 24)...)
	be.PutUint64(wal[1:], 0x1000)
	be.PutUint64(wal[9:], 0x2000)
	m, err := parseIncoming(append(wal, "abc"...))
	if err != nil || m.at != 0x1000 || m.end != 0x2000 || string(m.data) != "abc" || m.reply {
		t.Errorf("WAL: %+v, %v", m, err)
	}
	alive := append([]byte{'k'}, make([]byte, 17)...)
	be.PutUint64(alive[1:], 0x3000)
	alive[17] = 1
	m, err = parseIncoming(alive)
	if err != nil || m.end != 0x3000 || m.data != nil || !m.reply {
		t.Errorf("keepalive: %+v, %v", m, err)
	}
	for _, bad := range [][]byte{nil, {'w'}, wal[:24], alive[:17], append(alive, 0), {'x', 1}} {
		if _, err := parseIncoming(bad); !errors.Is(err, errProtocol) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// fetching gives a fetch without a server: the test calls it with each message.
func fetching(t *testing.T) *fetch {
	dir := t.TempDir()
	return &fetch{
		o: BackupOptions{Dir: filepath.Join(dir, "data"), TblspcTo: filepath.Join(dir, "tablespaces")},
		b: &Backup{Tablespaces: map[pg.OID]string{16400: "/elsewhere"}},
	}
}

// archiveOf makes a tar archive of names and contents, in turn.
func archiveOf(t *testing.T, members ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := 0; i < len(members); i += 2 {
		h := &tar.Header{Name: members[i], Typeflag: tar.TypeReg, Size: int64(len(members[i+1])), Mode: 0o600}
		if strings.HasSuffix(members[i], "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(members[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// feed gives an archive to the backup in pieces.
func (f *fetch) feed(name string, content []byte) error {
	if err := f.data([]byte("n" + name + "\x00/where\x00")); err != nil {
		return err
	}
	for len(content) > 0 {
		n := min(len(content), 700)
		if err := f.data(append([]byte("d"), content[:n]...)); err != nil {
			return errors.Join(err, f.endArchive())
		}
		content = content[n:]
	}
	return f.endArchive()
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	f := fetching(t)
	if err := f.feed("16400.tar", archiveOf(t, "PG_15/", "", "PG_15/5/", "", "PG_15/5/1", "far")); err != nil {
		t.Fatal(err)
	}
	if err := f.feed(baseArchive, archiveOf(t, "base/", "", "base/1", strings.Repeat("x", 10000), "pg_tblspc/", "")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"base/1": 10000, "pg_tblspc/16400/PG_15/5/1": 3} {
		if got, err := os.ReadFile(filepath.Join(f.o.Dir, path)); err != nil || len(got) != want {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
	}
}

// TestUnpackOld: an old server's streams have no messages, and come in the order of its list of archives.
func TestUnpackOld(t *testing.T) {
	t.Parallel()
	f := fetching(t)
	f.old = true
	if err := f.tablespaces([][]string{{"16400", "/elsewhere", "1"}, {"", "", "30"}}); err != nil {
		t.Fatal(err)
	}
	if err := f.data([]byte("x")); !errors.Is(err, errProtocol) {
		t.Errorf("data before the first stream: %v", err)
	}
	for _, content := range [][]byte{
		archiveOf(t, "PG_14/", "", "PG_14/5/", "", "PG_14/5/1", "far"),
		archiveOf(t, "base/", "", "base/1", strings.Repeat("x", 10000), "pg_tblspc/", ""),
	} {
		if err := errors.Join(f.nextArchive(), f.data(content[:512]), f.data(content[512:]), f.endArchive()); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]int{"base/1": 10000, "pg_tblspc/16400/PG_14/5/1": 3} {
		if got, err := os.ReadFile(filepath.Join(f.o.Dir, path)); err != nil || len(got) != want {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
	}
	if err := f.nextArchive(); !errors.Is(err, errProtocol) {
		t.Errorf("a stream too many: %v", err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	whole := archiveOf(t, "a", strings.Repeat("x", 5000))
	for name, feed := range map[string]func(f *fetch) error{
		"outside":            func(f *fetch) error { return f.feed(baseArchive, archiveOf(t, "../evil", "x")) },
		"absolute":           func(f *fetch) error { return f.feed(baseArchive, archiveOf(t, "/evil", "x")) },
		"twice":              func(f *fetch) error { return f.feed(baseArchive, archiveOf(t, "a", "x", "a", "y")) },
		"cut":                func(f *fetch) error { return f.feed(baseArchive, whole[:3000]) },
		"unknown tablespace": func(f *fetch) error { return f.feed("16401.tar", whole) },
		"no number":          func(f *fetch) error { return f.feed("../x.tar", whole) },
		"no archive":         func(f *fetch) error { return f.data([]byte("dxxx")) },
		"a manifest":         func(f *fetch) error { return f.data([]byte("m")) },
		"empty":              func(f *fetch) error { return f.data(nil) },
	} {
		f := fetching(t)
		if err := feed(f); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Lstat(filepath.Join(filepath.Dir(f.o.Dir), "evil")); err == nil {
			t.Errorf("%s: a file lies outside", name)
		}
	}
}

// TestAge tells how old the newest state is that is here whole.
func TestAge(t *testing.T) {
	now := time.Now()
	ago := func(s int) time.Time { return now.Add(-time.Duration(s) * time.Second) }
	for _, c := range []struct {
		name string
		s    Status
		want int64
	}{
		{"nothing outstanding, last heard of half a minute ago", Status{State: Streaming, Applied: 8, Server: 8, Known: ago(30), Since: ago(90)}, 0},
		{"behind", Status{State: Streaming, Applied: 8, Server: 16, Known: ago(4), Since: ago(90)}, 4},
		{"away, all there was is here", Status{State: Waiting, Applied: 8, Server: 8, Known: ago(7), Since: ago(5)}, 7},
		{"never caught up", Status{State: Streaming, Applied: 8, Server: 16, Since: ago(90)}, 90},
		{"the server's clock is ahead", Status{State: Waiting, Known: ago(-7)}, 0},
	} {
		if got := c.s.Age(now); got != c.want {
			t.Errorf("%s: %d s, want %d", c.name, got, c.want)
		}
	}
}

// TestLookupDoesNotTrustTheString: an address that a string gives to an allowed name is not allowed by that name.
func TestLookupDoesNotTrustTheString(t *testing.T) {
	t.Parallel()
	allow := func(host string, _ netip.Addr) bool { return host == "localhost" }
	for conninfo, want := range map[string]bool{"host=localhost user=u": true, "host=localhost hostaddr=169.254.169.254 user=u": false, "hostaddr=127.0.0.1 user=u": false} {
		s, err := ParseServer(conninfo, Rules{Stranger: true, Allow: allow})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.cfg.LookupFunc(t.Context(), s.cfg.Host); (err == nil) != want {
			t.Errorf("%s: %v, %v", conninfo, got, err)
		}
	}
}

// TestParseServerHasNoEnvironment: nothing of this process's surroundings gets into what a string means.
func TestParseServerHasNoEnvironment(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".pgpass"), []byte("*:*:*:*:geheim\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"HOME": home, "PGPASSFILE": filepath.Join(home, ".pgpass"), "PGPASSWORD": "geheim", "PGOPTIONS": "-c geheim=1", "PGAPPNAME": "geheim",
		"PGSSLROOTCERT": "/geheim", "PGSSLKEY": "/geheim", "PGSSLCERT": "/geheim", "PGDATABASE": "geheim", "PGTZ": "geheim", "PGPORT": "1", "PGHOSTADDR": "10.0.0.1",
	} {
		t.Setenv(name, value)
	}
	s, err := ParseServer("host=db7 user=u", Rules{Stranger: true})
	if err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprintf("%q %q %d %q", s.cfg.Password, s.cfg.Database, s.cfg.Port, s.cfg.RuntimeParams); strings.Contains(all, "geheim") || s.cfg.Port != 5432 {
		t.Error(all)
	}
}
