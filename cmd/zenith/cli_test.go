package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/pageserver"
	"zenith/internal/pg"
	"zenith/tenants"
)

const (
	tenantA = "0123456789abcdef0123456789abcdef"
	lineA   = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	lineB   = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// fakeServer is a page server with fixed answers. It embeds a nil Service: a method that no test needs
// panics.
type fakeServer struct {
	api.Service
	err      error
	problems int64
	machine  string
	execs    chan string // gets "start" and "stop" of each pg exec
}

func (f *fakeServer) Status(context.Context) ([]api.StatusRow, error) {
	return []api.StatusRow{{Name: "address", Value: "not shown twice"}, {Name: "tenants", Value: "1"}, {Name: "machine", Value: f.machine}}, f.err
}

func (f *fakeServer) TenantList(context.Context) ([]string, error) {
	return []string{tenantA}, f.err
}

func (f *fakeServer) TenantCreate(_ context.Context, id string, _ api.TenantOptions, _ api.Progress) (api.TenantInfo, error) {
	return api.TenantInfo{ID: id}, f.err
}

func (f *fakeServer) PgDistribs(context.Context) ([]api.Distrib, error) {
	return []api.Distrib{{Major: 15, Release: "15.20", Dir: "/usr/lib/postgresql/15", Rule: "PATH", Default: true}}, f.err
}

func (f *fakeServer) BranchList(context.Context, string) ([]api.Branch, error) {
	return []api.Branch{
		{Name: "main", TimelineID: lineA, LatestValidLSN: 0x2000000},
		{Name: "dev", TimelineID: lineB, LatestValidLSN: 0x16B3800, AncestorID: new(lineA), AncestorLSN: new(pg.LSN(0x1609610))},
	}, f.err
}

func (f *fakeServer) BranchCreate(_ context.Context, _, name, point string, o api.BranchOptions) (api.Branch, error) {
	return api.Branch{Name: name, TimelineID: lineB, LatestValidLSN: 0x1609610, AncestorID: new(lineA), AncestorLSN: new(pg.LSN(0x1609610))}, f.err
}

func (f *fakeServer) BranchDelete(_ context.Context, _, name string, force bool) error {
	if name == api.MainBranch && !force {
		return api.Errorf(api.ErrNotAllowed, "branch main: by force only")
	}
	return f.err
}

func (f *fakeServer) BranchUpgrade(_ context.Context, _, name, _ string, o api.UpgradeOptions) (api.Branch, error) {
	if err := o.Output("*Clusters are compatible*"); err != nil {
		return api.Branch{}, err
	}
	return api.Branch{Name: name, TimelineID: lineB, LatestValidLSN: 0x3000028, Major: o.Major}, f.err
}

func (f *fakeServer) BranchUndelete(_ context.Context, _, name, as string) (api.Branch, error) {
	return api.Branch{Name: cmp.Or(as, name), LatestValidLSN: 0x1609610}, f.err
}

func (f *fakeServer) BranchDeleted(context.Context, string) ([]api.DeletedBranch, error) {
	at := time.Date(2026, 11, 30, 16, 18, 26, 0, time.Local)
	return []api.DeletedBranch{{Name: "dev", TimelineID: lineA, DeletedAt: at, KeptUntil: at.AddDate(0, 0, 1)}}, f.err
}

func (f *fakeServer) LSN(context.Context, string, string) (pg.LSN, error) { return 0x16B3748, f.err }

func (f *fakeServer) Mount(_ context.Context, o api.MountOptions) (api.Mount, error) {
	m := api.Mount{Dir: o.Dir, Mode: api.ModeTree}
	if o.Point != "" {
		m = api.Mount{Dir: o.Dir, Mode: api.ModeWritable, Branch: o.Point, Timeline: lineA, LSN: new(pg.LSN(0x16B3748)), Tenant: o.Tenant}
	}
	return m, f.err
}

func (f *fakeServer) Umount(context.Context, string, bool) error { return f.err }

func (f *fakeServer) MountList(context.Context) ([]api.Mount, error) {
	return []api.Mount{{Dir: "/mnt/x", Mode: "rw", Branch: "main", Timeline: lineA, LSN: new(pg.LSN(0x16B3748)), Tenant: tenantA}, {Dir: "/mnt/all", Mode: "tree", Errors: 2, LastError: "tenants/x: not supported"}}, f.err
}

var computeA = api.Compute{
	Tenant: tenantA, Name: "main", Timeline: lineA, LSN: 0x16B3748, Status: api.ComputeRunning,
	Host: "127.0.0.1", Port: 55432, User: "postgres", Database: "postgres", Dir: "/d", Log: "/l",
}

func (f *fakeServer) PgStart(context.Context, string, string, api.ComputeOptions) (api.Compute, error) {
	return computeA, f.err
}

func (f *fakeServer) PgStop(context.Context, string, string, api.StopOptions) error {
	return f.err
}

func (f *fakeServer) PgList(context.Context, string) ([]api.Compute, error) {
	return []api.Compute{computeA}, f.err
}

func (f *fakeServer) PgExec(context.Context, string, string, api.ComputeOptions) (api.Compute, func(context.Context) error, error) {
	if f.err != nil {
		return api.Compute{}, nil, f.err
	}
	f.execs <- "start"
	return computeA, func(context.Context) error { f.execs <- "stop"; return nil }, nil
}

func (f *fakeServer) WALDump(_ context.Context, _, _ string, from, to pg.LSN, _ *time.Location, w io.Writer) error {
	_, err := io.WriteString(w, "rmgr: Heap "+from.String()+" "+to.String()+"\n")
	return errors.Join(err, f.err)
}

func (f *fakeServer) Log(_ context.Context, _, _ string, _ api.LogOptions, send func(api.Commit) error) error {
	return errors.Join(send(api.Commit{XID: 700}), f.err)
}

func (f *fakeServer) ReadPage(context.Context, string, string, string, pg.BlockNumber) (pg.Page, error) {
	page := make(pg.Page, pg.BlockSize)
	page.Init(0)
	copy(page[8000:], "hello")
	return page, f.err
}

func (f *fakeServer) Check(_ context.Context, _, _ string, found func(string) error, _ api.Progress) (api.CheckResult, error) {
	for range f.problems {
		if err := found("page 7: checksum"); err != nil {
			return api.CheckResult{}, err
		}
	}
	return api.CheckResult{Branches: 2, Pages: 3, WALBytes: 4, Problems: f.problems}, f.err
}

func (f *fakeServer) GC(_ context.Context, _, _ string, o api.GCOptions) (api.GCResult, error) {
	return api.GCResult{Relations: o.Retain.Bytes, Elapsed: o.Retain.Time}, f.err
}

func (f *fakeServer) GCPlan(context.Context, string, string, api.Retain) ([]api.Forgettable, error) {
	return []api.Forgettable{{Branch: "main", From: 0x1000000, To: 0x1000028, WALBytes: 40, Versions: 3}}, f.err
}

// Export writes a small tar archive. If f.err is set, it breaks off in the middle with that error.
func (f *fakeServer) Export(_ context.Context, _, _ string, _ api.ExportOptions, w io.Writer) error {
	tw := tar.NewWriter(w)
	uid, gid := os.Getuid(), os.Getgid()
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "./", Mode: 0o700, Uid: uid, Gid: gid},
		{Typeflag: tar.TypeDir, Name: "base/5/", Mode: 0o700, Uid: uid, Gid: gid},
		{Typeflag: tar.TypeReg, Name: "base/5/PG_VERSION", Mode: 0o600, Size: 3, Uid: uid, Gid: gid},
	} {
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
	}
	if _, err := tw.Write([]byte("15\n")); err != nil {
		return err
	}
	if f.err != nil {
		return f.err
	}
	return tw.Close()
}

// session runs the command line against a fake page server.
type cliSession struct {
	t       *testing.T
	fake    *fakeServer
	workdir string
}

func newSession(t *testing.T) *cliSession {
	t.Helper()
	dir, err := os.MkdirTemp("", "zcli")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := pageserver.ListenSocket(dir, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	s := &cliSession{t: t, fake: &fakeServer{execs: make(chan string, 10), machine: tenants.Machine()}, workdir: filepath.Join(t.TempDir(), "work")}
	server := pageserver.New(s.fake, pageserver.Options{Access: &access.Policy{OwnerUID: os.Getuid()}})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	s.expect("init --remote-pageserver "+l.Addr().String(), 0, "using page server "+l.Addr().String()+"\nusing tenantid "+tenantA+"\n", "")
	return s
}

// run runs a command and gives its exit code, stdout and stderr.
func (s *cliSession) run(ctx context.Context, args ...string) (int, string, string) {
	var out, err bytes.Buffer
	code := run(ctx, append([]string{"-D", s.workdir}, args...), strings.NewReader("input"), &out, &err)
	return code, out.String(), err.String()
}

func (s *cliSession) expect(line string, code int, stdout, stderr string) {
	s.t.Helper()
	gotCode, gotOut, gotErr := s.run(s.t.Context(), strings.Fields(line)...)
	if gotCode != code || gotOut != stdout || gotErr != stderr {
		s.t.Errorf("zenith %s\ngot  exit %d, stdout %q, stderr %q\nwant exit %d, stdout %q, stderr %q", line, gotCode, gotOut, gotErr, code, stdout, stderr)
	}
}

// TestFirstLines checks the first lines that commands print, on which scripts depend.
func TestFirstLines(t *testing.T) {
	s := newSession(t)
	s.expect("tenant list", 0, tenantA+"\n", "")
	s.expect("tenant list -o json", 0, "[\n  \""+tenantA+"\"\n]\n", "")
	s.expect("tenant create "+tenantA, 0, "using tenant id "+tenantA+"\ntenant successfully created on the pageserver\n", "")
	s.expect("branch", 0, " main\n ┗━ @0/1609610: dev\n", "")
	s.expect("branch list", 0, " main\n ┗━ @0/1609610: dev\n", "")
	s.expect("branch create dev main", 0, "Created branch 'dev' at 0/1609610 for tenant: "+tenantA+"\n", "")
	s.expect("branch rm dev", 0, "Deleted branch 'dev'\n", "")
	s.expect("branch delete main", 12, "", "zenith: branch main: by force only\n")
	s.expect("branch delete main -f", 0, "Deleted branch 'main'\n", "")
	s.expect("branch undelete dev", 0, "Restored branch 'dev' at 0/1609610 for tenant: "+tenantA+"\n", "")
	s.expect("branch undelete dev dev2", 0, "Restored branch 'dev2' at 0/1609610 for tenant: "+tenantA+"\n", "")
	at := time.Date(2026, 11, 30, 16, 18, 26, 0, time.Local)
	s.expect("branch list --deleted", 0, fmt.Sprintf("NAME  DELETED_AT%sKEPT_UNTIL%sTIMELINE_ID\ndev   %s  %s  %s\n", strings.Repeat(" ", len(at.Format(time.RFC3339))-8),
		strings.Repeat(" ", len(at.Format(time.RFC3339))-8), at.Format(time.RFC3339), at.AddDate(0, 0, 1).Format(time.RFC3339), lineA), "")
	s.expect("lsn -15m", 0, "0/16B3748\n", "")
	s.expect("branch dev -1h30m", 0, "Created branch 'dev' at 0/1609610 for tenant: "+tenantA+"\n", "")
	s.expect("branch dev main@-15m", 0, "Created branch 'dev' at 0/1609610 for tenant: "+tenantA+"\n", "")
	s.expect("branch delete dev", 0, "Deleted branch 'dev'\n", "")
	s.expect("lsn main", 0, "0/16B3748\n", "")
	s.expect("mount main /mnt/x --scratch", 0, "mounted "+lineA+"@0/16B3748 at /mnt/x\n", "")
	s.expect("mount /mnt/x", 0, "mounted all tenants at /mnt/x\n", "")
	s.expect("umount /mnt/x --lazy", 0, "", "")
	s.expect("mount list", 0, "DIR       MODE  BRANCH  TIMELINE                          LSN        LAST_ERROR\n"+
		"/mnt/x    rw    main    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa  0/16B3748  \n/mnt/all  tree                                                       tenants/x: not supported\n", "")
	s.expect("pg start main --port 55432 --set a=b", 0, "postgres main accepts connections\npostgresql://postgres@127.0.0.1:55432/postgres\n", "")
	s.expect("pg stop main -m immediate --destroy", 0, "stopped postgres main\n", "")
	s.expect("pg list", 0, "BRANCH  ADDRESS          LSN        STATUS\nmain    127.0.0.1:55432  0/16B3748  running\n", "")
	s.expect("wal dump main 0/1000000 0/2000000", 0, "rmgr: Heap 0/1000000 0/2000000\n", "")
	s.expect("gc --retain 4kB", 0, "relations 4096, truncated 0, deleted 0, dropped 0, in 0s\n", "")
	s.expect("gc --retain 7d --dry-run", 0, "BRANCH  FROM       FROM_TIME  TO         TO_TIME  WAL_BYTES  VERSIONS\nmain    0/1000000             0/1000028           40         3\n", "")
	if code, out, _ := s.run(t.Context(), "gc", "-n", "-o", "json"); code != 0 || !strings.Contains(out, `"wal_bytes": 40,`) || !strings.Contains(out, `"from_time": null,`) {
		t.Errorf("gc -n -o json: %d\n%s", code, out)
	}
	s.expect("check", 0, "checked 2 branches, 3 pages, 4 bytes of WAL: 0 problems\n", "")
	s.fake.problems = 2
	s.expect("check", 1, "page 7: checksum\npage 7: checksum\nchecked 2 branches, 3 pages, 4 bytes of WAL: 2 problems\n", "zenith: check: 2 problems\n")
	if code, out, _ := s.run(t.Context(), "page", "dump", "main", "base/5/1", "0"); code != 0 || !strings.HasPrefix(out, "lsn 0/0  checksum") || !strings.Contains(out, "|hello") {
		t.Errorf("page dump: %d\n%s", code, out)
	}
	if code, out, _ := s.run(t.Context(), "page", "dump", "main", "base/5/1", "0", "--raw"); code != 0 || len(out) != pg.BlockSize {
		t.Errorf("page dump --raw: %d, %d bytes", code, len(out))
	}
	if code, out, _ := s.run(t.Context(), "status"); code != 0 || strings.Contains(out, "not shown twice") || !strings.Contains(out, "page server:  running\n") {
		t.Errorf("status: %d\n%s", code, out)
	}
}

func TestErrorsAreOneLineAndACode(t *testing.T) {
	s := newSession(t)
	for kind, code := range map[error]int{
		api.ErrNotFound: 13, api.ErrBusy: 11, api.ErrNotAllowed: 12, api.ErrOutOfRange: 14,
		api.ErrMountFailed: 15, api.ErrTimeout: 16, api.ErrExists: 1, api.ErrCorrupt: 1, api.ErrBadArgument: 2,
	} {
		s.fake.err = api.Errorf(kind, "branch dev: why\nnot")
		for _, line := range []string{"branch dev main", "lsn dev", "mount dev /mnt/x", "pg start dev", "pg exec dev -- true", "branch delete dev", "umount /mnt/x"} {
			s.expect(line, code, "", "zenith: branch dev: why; not\n")
		}
	}
	s.fake.err = nil
	missing := filepath.Join(s.workdir, "none")
	s.expect("-D "+missing+" status", 10, "", "zenith: "+missing+": no work directory here (run zenith init)\n")
	s.expect("-D "+missing+" stop", 10, "", "zenith: "+missing+": no work directory here (run zenith init)\n")
	s.expect("stop", 12, "", "zenith: "+s.workdir+": its page server is a remote one\n")
	s.expect("init", 1, "", "zenith: "+s.workdir+": is a work directory already\n")
}

func TestUsageErrors(t *testing.T) {
	s := newSession(t)
	for _, line := range []string{
		"frobnicate", "branch dev", "branch a b c", "branch reset", "branch restore main", "branch list x", "branch rename a", "branch expire x soon", "branch expire x", "branch x main --expire 2020-01-01", "branch ls", "branch checkout x", "tag a b c", "tag -d", "du x", "mount main", "mount dev@-15m", "mount -15m", "lsn", "mount", "mount a b c", "mount --scratch /x", "umount", "pg", "pg start", "pg start a b",
		"pg start a --port 0", "pg start a --port x", "pg start a --set x", "pg start a --unset x=1", "pg exec a --set port=1 -- true", "pg stop a -m kill", "pg exec main", "export main", "export main --dir a --tar b",
		"gc --retain soon", "gc --retain 5", "gc --retain 5 --dry-run", "page dump main x y", "wal dump main zzz", "tenant", "tenant create short", "lsn main --tenantid x", "branch -o xml",
		"lsn main --frobnicate", "init --from-pgdata a --from-server b", "init --listen 6400", "--log-level loud status", "--log-format xml status", "status extra",
	} {
		code, out, err := s.run(t.Context(), strings.Fields(line)...)
		if code != exitUsage || out != "" || strings.Count(err, "\n") != 1 || !strings.HasPrefix(err, "zenith: ") {
			t.Errorf("%s: got exit %d, stdout %q, stderr %q", line, code, out, err)
		}
	}
}

func TestHelp(t *testing.T) {
	s := newSession(t)
	for _, line := range []string{"--help", "help", "help pg start", "branch --help", "branch delete --help", "pg exec -h", "mount -h"} {
		code, out, err := s.run(t.Context(), strings.Fields(line)...)
		if code != 0 || err != "" || !strings.Contains(out, "USAGE") {
			t.Errorf("%s: got exit %d, stdout %q, stderr %q", line, code, out, err)
		}
	}
	if code, out, err := s.run(t.Context()); code != exitUsage || out != "" || !strings.Contains(err, "USAGE") {
		t.Errorf("no command: got exit %d, stdout %q, stderr %q", code, out, err)
	}
}

func TestPgExec(t *testing.T) {
	s := newSession(t)
	t.Setenv("PGSERVICE", "elsewhere")
	t.Setenv("PGHOSTADDR", "10.0.0.1")
	code, out, err := s.run(t.Context(), "pg", "exec", "main@-10m", "--", "sh", "-c", `echo $PGHOST $PGPORT $PGUSER $PGDATABASE $PGSERVICE $PGHOSTADDR; cat; exit 7`)
	if code != 7 || out != "127.0.0.1 55432 postgres postgres\ninput" || err != "" {
		t.Errorf("got exit %d, stdout %q, stderr %q", code, out, err)
	}
	for _, want := range []string{"start", "stop"} {
		if got := <-s.fake.execs; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	s.expect("pg exec main -- no-such-command", 127, "", "zenith: no-such-command: no such command\n")
	if code, _, _ := s.run(t.Context(), "pg", "exec", "main", "--", "sh", "-c", "kill -9 $$"); code != 137 {
		t.Errorf("killed command: got exit %d, want 137", code)
	}
	<-s.fake.execs
	<-s.fake.execs
}

// TestPgExecInterrupted: a signal ends the command of pg exec, and then the throw-away postgres.
func TestPgExecInterrupted(t *testing.T) {
	s := newSession(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-s.fake.execs
		cancel()
	}()
	code, _, _ := s.run(ctx, "pg", "exec", "main", "--", "sleep", "infinity")
	if code == 0 {
		t.Error("got exit 0")
	}
	if got := <-s.fake.execs; got != "stop" {
		t.Errorf("got %s, want stop", got)
	}
}

func TestExport(t *testing.T) {
	s := newSession(t)
	dir := filepath.Join(t.TempDir(), "copy")
	s.expect("export main --dir "+dir, 0, "", "")
	if got, err := os.ReadFile(filepath.Join(dir, "base/5/PG_VERSION")); string(got) != "15\n" {
		t.Errorf("got %q, %v", got, err)
	}
	s.expect("export main --dir "+dir, 12, "", "zenith: export: "+dir+" is not empty\n")
	for _, ext := range []string{".tar", ".tar.gz", ".tar.zst"} {
		file := filepath.Join(t.TempDir(), "x"+ext)
		s.expect("export main --tar "+file, 0, "", "")
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", ext, err)
		}
	}

	// An export that fails in the middle leaves nothing that could be taken for a complete one.
	s.fake.err = api.Errorf(api.ErrCorrupt, "page 7 is damaged")
	broken := filepath.Join(t.TempDir(), "broken")
	s.expect("export main --dir "+broken, 1, "", "zenith: page 7 is damaged\n")
	s.expect("export main --tar "+broken+".tar.zst", 1, "", "zenith: page 7 is damaged\n")
	if entries, err := os.ReadDir(filepath.Dir(broken)); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestUnpackStaysInside(t *testing.T) {
	for _, name := range []string{"../out", "/abs", "a/../../out"} {
		var b bytes.Buffer
		tw := tar.NewWriter(&b)
		if err := errors.Join(tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600}), tw.Close()); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "in")
		err := new(environ).exportDir(new(cliConfig), dir, func(w io.Writer) error { _, err := w.Write(b.Bytes()); return err })
		if err == nil {
			t.Errorf("%s was unpacked", name)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s: the directory is left behind", name)
		}
	}
}

func TestStatusWhenDown(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{configFile: "pageserver = \"127.0.0.1:1\"\n", serverFile: "listen = \"127.0.0.1:1\"\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &cliSession{t: t, workdir: dir}
	s.expect("status", 0, "page server:  not running\naddress:      127.0.0.1:1\nsocket:       "+filepath.Join(dir, ownSocket)+"\n", "")
	s.expect("branch --tenantid "+tenantA, 1, "", "zenith: "+dir+": the page server is not running (run zenith start)\n")
	s.expect("stop", 1, "", "zenith: "+dir+": the page server is not running\n")
}
