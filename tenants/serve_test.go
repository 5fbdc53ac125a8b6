package tenants

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// TestWALDump prints the records of a branch that start in a range, one a line.
func TestWALDump(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	first := main.tl.FirstLSN()
	h := f.advance(t, main, 40)
	dump := func(from, to pg.LSN) []string {
		t.Helper()
		var out bytes.Buffer
		if err := f.WALDump(t.Context(), tenantA, MainBranch, from, to, time.UTC, &out); err != nil {
			t.Fatal(err)
		}
		return slices.Collect(strings.Lines(out.String()))
	}
	if all := dump(0, 0); len(all) != 41 || !strings.Contains(all[0], "lsn: "+"0/") {
		t.Errorf("all of it has %d records, from %q on", len(all), all[0])
	}
	if got := dump(h.ends[10], h.ends[20]); len(got) != 10 {
		t.Errorf("got %d records between the ends of records 10 and 20: %q", len(got), got)
	}
	if got := dump(h.ends[10]+1, h.ends[11]); len(got) != 0 {
		t.Errorf("no record starts there: %q", got)
	}
	if got := dump(h.ends[40], h.end()); len(got) != 0 {
		t.Errorf("behind the head: %q", got)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := f.WALDump(ended, tenantA, MainBranch, 0, 0, time.UTC, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	wantKind(t, "from before the branch", f.WALDump(t.Context(), tenantA, MainBranch, 8, 0, time.UTC, io.Discard), api.ErrOutOfRange, first.String())
	if err := f.WALDump(t.Context(), tenantA, MainBranch, 0, 0, time.UTC, errWriter{errGoneClient}); !errors.Is(err, errGoneClient) {
		t.Errorf("a client that is gone: %v", err)
	}
}

// TestReadPage finds a block by the path of its file, and says what is not there.
func TestReadPage(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	table, shared := relations(t, main, "base/1")[0], relations(t, main, "global")[0]
	for _, c := range []struct {
		path  string
		block pg.BlockNumber
		kind  error
		says  string
	}{
		{table, 0, nil, ""},
		{shared, 0, nil, ""},
		{"pg_xact/0000", 0, nil, ""},
		{"base/1/99999", 0, api.ErrNotFound, "no such relation"},
		{table, 5000, api.ErrNotFound, "no block 5000"},
		{"postgresql.conf", 0, api.ErrBadArgument, "not the path of a relation"},
		{"", 0, api.ErrBadArgument, ""},
	} {
		page, err := f.ReadPage(t.Context(), tenantA, MainBranch, c.path, c.block)
		if c.kind != nil {
			wantKind(t, c.path, err, c.kind, c.says)
		} else if err != nil || len(page) != pg.BlockSize || bytes.Count(page, []byte{0}) == pg.BlockSize {
			t.Errorf("%s: %d bytes, %v", c.path, len(page), err)
		}
	}
}

// TestPages: a source answers for the head, which moves, and for any LSN that is there.
func TestPages(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	before := main.tl.LastLSN()
	src, err := f.Pages(t.Context(), tenantA, MainBranch)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	xact := pg.V15.ParsePath("pg_xact/0000").Fork
	read := func(lsn pg.LSN) string {
		t.Helper()
		n, exists, err := src.Size(t.Context(), xact, lsn)
		page := make(pg.Page, pg.BlockSize)
		if err = errors.Join(err, src.ReadPage(t.Context(), xact.Tag(0), lsn, page)); err != nil || !exists || n == 0 {
			t.Fatalf("at %v: %d blocks, %v, %v", lsn, n, exists, err)
		}
		return string(page)
	}
	old := read(0)
	h := f.advance(t, main, -1)
	if read(0) == old || read(h.end()) == old {
		t.Error("commits are not in the head's pg_xact")
	}
	if read(before) != old {
		t.Error("an old state has changed")
	}
	if _, exists, err := src.Size(t.Context(), pg.V15.ParsePath("base/1/99999").Fork, 0); exists || err != nil {
		t.Errorf("a relation that is not there: %v, %v", exists, err)
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond) // sooner than the second that it would wait
	defer cancel()
	_, _, err = src.Size(soon, xact, h.end()+1<<20)
	wantKind(t, "an LSN that does not come", err, api.ErrOutOfRange, "branch main")
}

// TestReplication: what a replication client sees of a branch is its head, its WAL as it was written, and
// settings of its cluster.
func TestReplication(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{DefaultTenant: tenantA})
	main := f.branchOf(t, MainBranch)
	h := f.advance(t, main, 60)
	src, err := f.Replicate(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	s, err := src.System(t.Context())
	if err != nil || s.XLogPos != h.ends[60] || s.SegSize != main.tl.Info().SegSize || src.Version().Major != 15 {
		t.Errorf("got %+v, %v", s, err)
	}
	settings := map[string]string{}
	for _, one := range s.Settings {
		settings[one.Name] = one.Value
	}
	for name, want := range map[string]string{
		"wal_level": "replica", "data_checksums": "on", "max_connections": "100", "max_prepared_transactions": "0",
		"zenith.tenant_id": tenantA, "zenith.timeline_id": main.tl.ID().String(),
	} {
		if settings[name] != want {
			t.Errorf("%s is %q, want %q", name, settings[name], want)
		}
	}
	if src.Head() != h.ends[60] || src.WaitLSN(t.Context(), h.ends[60]) != nil {
		t.Errorf("the head is %v, want %v", src.Head(), h.ends[60])
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := src.WaitLSN(ended, h.end()); err == nil {
		t.Error("an LSN has come that has not")
	}
	p := make([]byte, 1000)
	if n, err := src.ReadWAL(p, h.ends[30]); err != nil || !bytes.Equal(p[:n], h.wal[h.ends[30]-h.start:][:n]) {
		t.Errorf("the WAL at %v: %d bytes, %v", h.ends[30], n, err)
	}
	if _, err := src.ReadWAL(p, 8); !errors.Is(err, io.EOF) {
		t.Errorf("the WAL before the branch: %v", err)
	}
}

// TestSlotLife: a slot is made, streamed with by one at a time, moves forward only, and survives a
// restart, unless it is temporary.
func TestSlotLife(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	h := f.advance(t, f.branchOf(t, MainBranch), 60)
	slots := func() api.SlotService {
		t.Helper()
		src, err := f.Replicate(t.Context(), tenantA, MainBranch)
		if err != nil {
			t.Fatal(err)
		}
		src.Close() // the slots stay
		return src.Slots()
	}
	s := slots()
	if err := errors.Join(s.Create("kept", false, false), s.Create("reserved", false, true), s.Create("temporary", true, false)); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "create it again", s.Create("kept", false, false), api.ErrExists, `"kept" already exists`)
	if at, err := s.Get("reserved"); err != nil || at == 0 || at > h.ends[60] {
		t.Errorf("a slot that reserves WAL is at %v, %v", at, err)
	}
	if at, err := s.Get("kept"); err != nil || at != 0 {
		t.Errorf("a slot that does not is at %v, %v", at, err)
	}
	if err := s.Acquire("kept", false); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "take it twice", s.Acquire("kept", false), api.ErrBusy, "is active")
	wantKind(t, "drop it meanwhile", s.Drop("kept", false), api.ErrBusy, "is active")
	for _, at := range []pg.LSN{h.ends[20], h.ends[10], h.ends[60] + 1<<20} {
		if err := s.Advance("kept", at); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.Get("kept"); got != h.ends[20] && got != h.ends[60] {
			t.Errorf("a slot that was moved to %v is at %v", at, got)
		}
	}
	if err := s.Release("kept"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get("none")
	for _, err := range []error{s.Drop("none", false), s.Acquire("none", false), s.Release("none"), err} {
		wantKind(t, "no such slot", err, api.ErrNotFound, `"none" does not exist`)
	}
	for _, do := range []func(string, bool) error{s.Drop, s.Acquire} {
		wantKind(t, "a permanent slot as one's own temporary one", do("kept", true), api.ErrNotFound, `temporary replication slot "kept" does not exist`)
		wantKind(t, "another's temporary slot", do("temporary", false), api.ErrBusy, "another connection's")
	}
	f.restart(t)
	s = slots()
	if at, err := s.Get("kept"); err != nil || at != h.ends[60] {
		t.Errorf("after a restart the slot is at %v, %v; want the head, %v", at, err, h.ends[60])
	}
	_, err = s.Get("temporary")
	wantKind(t, "a temporary slot after a restart", err, api.ErrNotFound)
	if err := errors.Join(s.Drop("kept", false), s.Drop("reserved", false)); err != nil {
		t.Error(err)
	}
}

// TestBaseBackup is a tar archive with the data directory as of the head, and a manifest of it.
func TestBaseBackup(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	main := f.branchOf(t, MainBranch)
	h := f.advance(t, main, 60)
	src, err := f.Replicate(t.Context(), tenantA, MainBranch)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	backup, err := src.BaseBackup(t.Context(), api.BackupOptions{Label: "a test", Sizes: true, WAL: true, Manifest: true, Checksums: "CRC32C"})
	if err != nil {
		t.Fatal(err)
	}
	info := backup.Info()
	if info.Start == 0 || info.Start > info.Stop || info.Stop > h.ends[60] || info.TLI != 1 || len(info.Archives) != 1 || info.Archives[0].OID != 0 {
		t.Errorf("got %+v", info)
	}
	var archive, manifest bytes.Buffer
	if err := errors.Join(backup.WriteArchive(t.Context(), 0, &archive), backup.WriteManifest(&manifest), backup.Close()); err != nil {
		t.Fatal(err)
	}
	if info.Archives[0].Size > int64(archive.Len()) || info.Archives[0].Size <= 0 {
		t.Errorf("it was to have %d bytes of files, the archive has %d", info.Archives[0].Size, archive.Len())
	}
	names, files := unpack(t, &archive)
	if label := files["backup_label"]; !strings.Contains(label, "LABEL: a test") {
		t.Errorf("the label is %q", label)
	}
	for _, want := range []string{"backup_label", "global/pg_control", relations(t, main, "base/1")[0], "pg_xact/0000"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not in the archive", want)
		}
		if want != "backup_label" && want != "global/pg_control" && !strings.Contains(manifest.String(), want) {
			t.Errorf("%s is not in the manifest", want)
		}
	}
}

// unpack gives the names in a tar archive, in their order, and what the files have in them.
func unpack(t *testing.T, archive io.Reader) (names []string, files map[string]string) {
	t.Helper()
	files = map[string]string{}
	for r := tar.NewReader(archive); ; {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names, files[e.Name] = append(names, e.Name), string(text)
	}
}

// TestWholeTree: the mount of everything shows tenants, branches and timelines, and what is not
// there is absent, whatever the reason.
func TestWholeTree(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	if _, err := f.BranchCreate(t.Context(), tenantA, "child", MainBranch, api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(f.room, "all")
	if _, err := f.Mount(t.Context(), api.MountOptions{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	all := f.mounts.find(t, dir).source
	if ids, err := all.Tenants(t.Context()); err != nil || !slices.Equal(ids, []string{tenantA}) {
		t.Errorf("tenants %v, %v", ids, err)
	}
	branches, err := all.Branches(t.Context(), tenantA)
	if names := slices.Sorted(maps.Keys(branches)); err != nil || !slices.Equal(names, []string{"child", MainBranch}) {
		t.Errorf("branches %v, %v", branches, err)
	}
	ids, err := all.Timelines(t.Context(), tenantA)
	if err != nil || !slices.Contains(ids, branches["child"]) || !slices.Contains(ids, branches[MainBranch]) {
		t.Errorf("timelines %v of branches %v, %v", ids, branches, err)
	}
	main := f.branchOf(t, MainBranch)
	id, lsn, err := all.Resolve(t.Context(), tenantA, MainBranch)
	if err != nil || id != main.tl.ID().String() || lsn != main.tl.LastLSN() {
		t.Errorf("main is %s@%v, %v", id, lsn, err)
	}
	state, release, err := all.Snapshot(t.Context(), tenantA, id, lsn)
	if err != nil {
		t.Fatal(err)
	}
	if got := readTree(t, state, "PG_VERSION"); got != "15\n" {
		t.Errorf("PG_VERSION is %q", got)
	}
	release()
	absent := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = all.Branches(t.Context(), tenantB)
	absent("branches of no tenant", err)
	_, err = all.Timelines(t.Context(), "x")
	absent("timelines of no id", err)
	for _, at := range []string{"none", "main@0/1", "main@x", "@"} {
		_, _, err = all.Resolve(t.Context(), tenantA, at)
		absent(at, err)
	}
	_, _, err = all.Resolve(t.Context(), tenantB, MainBranch)
	absent("a point of no tenant", err)
	_, _, err = all.Snapshot(t.Context(), tenantA, tenantB, lsn)
	absent("no timeline", err)
	_, _, err = all.Snapshot(t.Context(), tenantA, id, lsn+1<<30)
	absent("an LSN that is not there", err)
	_, _, err = all.Snapshot(t.Context(), tenantB, id, lsn)
	absent("a state of no tenant", err)
}

// TestStatus counts what there is and what runs.
func TestStatus(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{DefaultTenant: tenantA})
	status := func() map[string]string {
		t.Helper()
		rows, err := f.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, r := range rows {
			all[r.Name] = r.Value
		}
		return all
	}
	wantRows := func(when string, want map[string]string) {
		t.Helper()
		got := status()
		for name, v := range want {
			if got[name] != v {
				t.Errorf("%s: %s is %q, want %q", when, name, got[name], v)
			}
		}
	}
	wantRows("at first", map[string]string{
		"workdir": f.cfg.Dir, "default_tenant": tenantA, "tenants": "1", "tenants_open": "1", "branches": "1", "mounts": "0",
		"postgres_running": "0", "mounts_errors": "0", "receivers": "0", "receivers_lag_bytes": "0", "receivers_lag_seconds": "0", "machine": Machine(),
	})
	if Machine() == "" {
		t.Error("this machine has no name")
	}
	if _, err := f.BranchCreate(t.Context(), tenantA, "b", MainBranch, api.BranchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.PgStart(t.Context(), tenantA, "b", set()); err != nil {
		t.Fatal(err)
	}
	wantRows("with a postgres", map[string]string{"branches": "2", "mounts": "1", "postgres_running": "1"})
}

// TestTenantCreate: a tenant is there whole, or not at all.
func TestTenantCreate(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	for _, c := range []struct {
		what string
		o    InitOptions
		kind error
		says string
	}{
		{"one that is there", InitOptions{Tenant: tenantA}, api.ErrExists, "already exists"},
		{"no id", InitOptions{Tenant: "x"}, api.ErrBadArgument, "32 lower-case hex digits"},
		{"no data directory", InitOptions{Tenant: tenantB, FromPGData: f.room}, nil, "not a PostgreSQL data directory"},
		{"no server", InitOptions{Tenant: tenantB, FromServer: nowhere}, nil, "connect"},
		{"no conninfo", InitOptions{Tenant: tenantB, FromServer: "port=x"}, api.ErrBadArgument, ""},
	} {
		c.o.Progress = noProgress
		_, err := f.CreateTenant(t.Context(), c.o)
		if err == nil || c.kind != nil && !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v and %q", c.what, err, c.kind, c.says)
		}
	}
	if err := os.WriteFile(filepath.Join(f.cfg.PgDistribs.Default, "fail-initdb"), []byte("no space left on device"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := f.TenantCreate(t.Context(), tenantB, api.TenantOptions{}, noProgress); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("an initdb that fails: %v", err)
	}
	if err := os.Remove(filepath.Join(f.cfg.PgDistribs.Default, "fail-initdb")); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(f.cfg.Dir, "tenants")); err != nil || len(left) != 1 {
		t.Errorf("directories %v are left, %v", left, err)
	}
	info, err := f.TenantCreate(t.Context(), "", api.TenantOptions{}, noProgress)
	if err != nil || info.ID == tenantA || info.TimelineID == "" || info.LSN == 0 {
		t.Fatalf("a new tenant: %+v, %v", info, err)
	}
	if got, err := f.LSN(t.Context(), info.ID, MainBranch); err != nil || got != info.LSN {
		t.Errorf("its head is %v, %v; want %v", got, err, info.LSN)
	}
	if ids, err := f.TenantList(t.Context()); err != nil || len(ids) != 2 || !slices.IsSorted(ids) {
		t.Errorf("tenants %v, %v", ids, err)
	}
	// A package manager replaces the programs of an installation.
	binary := filepath.Join(f.cfg.PgDistribs.Default, "bin", "postgres")
	if err := errors.Join(os.Remove(binary), os.WriteFile(binary, []byte("#!/bin/sh\necho 'postgres (PostgreSQL) 12.1'\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.TenantCreate(t.Context(), "", api.TenantOptions{}, noProgress); err == nil || !strings.Contains(err.Error(), "12.1") {
		t.Errorf("with PostgreSQL 12: %v", err)
	}
}

// TestDamagedTenant: a tenant whose store is damaged is told, and costs the others nothing.
func TestDamagedTenant(t *testing.T) {
	t.Parallel()
	f := newManager(t, Config{})
	dir := filepath.Join(f.cfg.Dir, "tenants")
	if err := os.CopyFS(filepath.Join(dir, tenantB), os.DirFS(filepath.Join(dir, tenantA))); err != nil {
		t.Fatal(err)
	}
	for _, junk := range []string{"lost+found", tenantA + ".bak"} {
		if err := os.Mkdir(filepath.Join(dir, junk), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tables, err := filepath.Glob(filepath.Join(dir, tenantB, "store", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("the store has no tables: %v", err)
	}
	for _, table := range tables {
		if err := os.Truncate(table, 100); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := f.TenantList(t.Context()); err != nil || !slices.Equal(ids, []string{tenantA, tenantB}) {
		t.Errorf("tenants %v, %v", ids, err)
	}
	for range 2 {
		_, err := f.LSN(t.Context(), tenantB, MainBranch)
		wantKind(t, "the damaged one", err, api.ErrCorrupt, tenantB, ".sst")
		if _, err := f.LSN(t.Context(), tenantA, MainBranch); err != nil {
			t.Errorf("the other one: %v", err)
		}
	}
	if n := f.countOpen(); n != 1 {
		t.Errorf("%d tenants are open, want one", n)
	}
}
