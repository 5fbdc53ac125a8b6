package fusefs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pg"
)

// controlBase makes a base on disk whose pg_control says that it was stopped at a
// checkpoint.
func controlBase(t *testing.T, checkpoint pg.LSN) string {
	t.Helper()
	dir := t.TempDir()
	control := &pg.ControlFile{Version: pg.V15, SystemID: 7, State: pg.DBShutdowned, CheckPoint: checkpoint, SegSize: segmentSize}
	control.Settings.WALLevel = 1
	for path, text := range map[string][]byte{
		"global/pg_control":         control.Encode(),
		"base/5/16384":              nil, // unlogged: as its init fork
		"base/5/16384_init":         nil,
		"base/5/16390":              pattern(8192),
		"base/6/16384":              nil,
		"base/6/16384_init":         nil,
		"pg_wal/" + segment(3):      pattern(segmentSize),
		"log/.keep":                 nil,
		"pg_logical/mappings/.keep": nil,
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// unloggedFiles are files that only the mount has: neither the base nor WAL does. The log and what
// outlives a crash are always there again, the others after a clean stop.
var unloggedFiles = map[string]string{
	"base/5/16384":                     "unlogged",
	"base/5/16384.1":                   "its second segment",
	"base/5/16384_vm":                  "its visibility map",
	"base/5/16390_fsm":                 "free space",
	"base/6/16384":                     "another database's",
	"pg_replslot/slot/state":           "slot",
	"pg_logical/mappings/map-1-2-3":    "mapping",
	"pg_wal/archive_status/0001.ready": "",
	"log/today.log":                    "log",
}

// outlives reports whether a file of unloggedFiles is there on the next mount in any case.
func outlives(path string) bool {
	return path == "log/today.log" || strings.HasPrefix(path, "pg_replslot/") || strings.HasPrefix(path, "pg_logical/") || strings.HasPrefix(path, "pg_wal/")
}

func writeUnlogged(t *testing.T, m *mounted) {
	t.Helper()
	pretendServer(t, m)
	for path, text := range unloggedFiles {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(m.dir, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(m.dir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writeAt(t, m.dir+"/base/5/16390", make([]byte, 8192), 0)
}

// stopServer is the opposite of pretendServer.
func stopServer(t *testing.T, m *mounted) {
	t.Helper()
	if err := os.Remove(m.dir + "/postmaster.pid"); err != nil {
		t.Fatal(err)
	}
}

// wantUnlogged checks that unloggedFiles are there, or of them only those that outlive a crash.
func wantUnlogged(t *testing.T, m *mounted, all bool) {
	t.Helper()
	for path, text := range unloggedFiles {
		got, err := os.ReadFile(filepath.Join(m.dir, path))
		if kept := err == nil && (string(got) == text); kept != (all || outlives(path)) {
			t.Errorf("%s: %q, %v; all were to be kept: %v", path, got, err, all)
		}
	}
	wantFile(t, m.dir+"/base/5/16390", pattern(8192)) // WAL describes it, so this is the base's
}

func keepSpec(t *testing.T, checkpoint pg.LSN) spec {
	requireFuse(t)
	return spec{Kind: "work", Disk: controlBase(t, checkpoint), State: t.TempDir(), WALDir: t.TempDir(), ConfDir: t.TempDir()}
}

func TestKeepAfterACleanStop(t *testing.T) {
	s := keepSpec(t, 0x3000028)
	m := startMount(t, s)
	writeUnlogged(t, m)
	install(t, m, segment(4), pattern(segmentSize))
	stopServer(t, m)
	m.unmount(t)

	// The files are there on each next mount, whether they were looked at, changed, or not.
	for _, touch := range []string{"", "base/6/16384", "log/today.log"} {
		m = startMount(t, s)
		if touch != "" {
			pretendServer(t, m)
			writeAt(t, filepath.Join(m.dir, touch), []byte(unloggedFiles[touch]), 0)
			stopServer(t, m)
		}
		m.unmount(t)
	}
	m = startMount(t, s)
	wantUnlogged(t, m, true)
	if got, want := listing(t, m.dir+"/pg_wal"), segment(3)+" "+segment(4)+" archive_status"; got != want {
		t.Errorf("pg_wal has %s, want %s", got, want)
	}
	pretendServer(t, m)
	if err := os.RemoveAll(m.dir + "/pg_replslot/slot"); err != nil {
		t.Fatal(err)
	}
	stopServer(t, m)
	m.unmount(t)
	m = startMount(t, s)
	if _, err := os.Stat(m.dir + "/pg_replslot/slot"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a dropped slot is back: %v", err)
	}
	writeUnlogged(t, m)
	stopServer(t, m)
	m.unmount(t)

	// Once the branch has moved on, they are not.
	s.Disk = controlBase(t, 0x4000028)
	wantUnlogged(t, startMount(t, s), false)
}

// TestStopFails: where a branch cannot take what only the mount has, that is moved aside, and the next mount does
// not remove it.
func TestStopFails(t *testing.T) {
	s := keepSpec(t, 0x3000028)
	s.StopFails = true
	m := startMount(t, s)
	writeUnlogged(t, m)
	stopServer(t, m)
	m.ask(t, "unmount")
	aside := filepath.Join(s.State, "private.damaged-1")
	m.eventually(t, "stop fails (what was written on the mount is in "+aside+")")
	startMount(t, s)
	if files, err := os.ReadDir(aside); err != nil || len(files) == 0 {
		t.Errorf("%s has %v, %v", aside, files, err)
	}
}

func TestKeepAfterACrash(t *testing.T) {
	s := keepSpec(t, 0x3000028)
	m := startMount(t, s)
	writeUnlogged(t, m)
	m.unmount(t) // postmaster.pid is still there
	m = startMount(t, s)
	wantUnlogged(t, m, false)
}

// TestKeepSurvivesAKill: when the daemon is killed, what was written on its mount is lost, but
// not what an earlier mount had kept.
func TestKeepSurvivesAKill(t *testing.T) {
	s := keepSpec(t, 0x3000028)
	m := startMount(t, s)
	writeUnlogged(t, m)
	stopServer(t, m)
	m.unmount(t)
	m = startMount(t, s)
	pretendServer(t, m)
	for path := range unloggedFiles {
		if outlives(path) {
			continue
		}
		if err := os.WriteFile(filepath.Join(m.dir, path), []byte("newer"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.kill(t)
	m.end(t)
	// The same after a kill between the two steps in which a mount that ends replaces keep/:
	if err := os.Rename(s.State+"/keep", s.State+"/keep.new"); err != nil {
		t.Fatal(err)
	}
	wantUnlogged(t, startMount(t, s), true)
}

// TestKeepDamagedMarker: without a marker nobody knows which state kept files belong to, so those
// are used that belong to any. None is lost: they are moved aside, and the log says so.
func TestKeepDamagedMarker(t *testing.T) {
	s := keepSpec(t, 0x3000028)
	m := startMount(t, s)
	writeUnlogged(t, m)
	stopServer(t, m)
	m.unmount(t)
	marker := s.State + "/keep/marker.json"
	for n, content := range []string{"", `{"clean":t`, "null", "\x00\x00\x00"} {
		if err := os.WriteFile(marker, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		m = startMount(t, s)
		wantUnlogged(t, m, false)
		m.eventually(t, "file="+marker)
		aside := fmt.Sprintf("%s/keep.damaged-%d", s.State, n+1)
		wantFile(t, aside+"/files/base/5/16384", []byte(unloggedFiles["base/5/16384"]))
		wantFile(t, aside+"/marker.json", []byte(content))
		writeUnlogged(t, m)
		stopServer(t, m)
		m.unmount(t)
		m = startMount(t, s)
		wantUnlogged(t, m, true)
		m.unmount(t)
	}
}

// TestKeepHalfRemoved: a kill while the kept files of one mount take the place of another's leaves
// those of the newer one.
func TestKeepHalfRemoved(t *testing.T) {
	s := keepSpec(t, 0x3000028)
	m := startMount(t, s)
	writeUnlogged(t, m)
	stopServer(t, m)
	m.unmount(t)
	keep := s.State + "/keep"
	if err := os.CopyFS(keep+".new", os.DirFS(keep)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"marker.json", "files/base/5/16384", "files/log/today.log"} {
		if err := os.Remove(filepath.Join(keep, path)); err != nil {
			t.Fatal(err)
		}
	}
	wantUnlogged(t, startMount(t, s), true)
}
