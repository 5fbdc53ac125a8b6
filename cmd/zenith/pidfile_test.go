package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"zenith/internal/api"
)

func TestPidFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), pidFileName)
	expect := func(wantPid int, wantRunning bool) {
		t.Helper()
		if pid, running, err := probe(path); pid != wantPid || running != wantRunning || err != nil {
			t.Errorf("got pid %d, running %v, %v, want %d, %v", pid, running, err, wantPid, wantRunning)
		}
	}
	expect(0, false)
	// A pid file without a lock on it is stale, whatever process has its number: here, this test.
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(0, false)

	f, err := lockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := writePid(f); err != nil {
		t.Fatal(err)
	}
	expect(os.Getpid(), true)
	if again, err := lockFile(path); !errors.Is(err, api.ErrBusy) {
		t.Errorf("a second lock: got %v, %v", again, err)
	}
	f.Close()
	expect(0, false)
}

// TestStopSparesAStranger: a killed page server leaves its pid file behind, and another process may get its
// number. zenith stop must not end that process.
func TestStopSparesAStranger(t *testing.T) {
	dir := t.TempDir()
	e := &environ{workdir: dir}
	for name, text := range map[string]string{
		configFile:  "pageserver = \"127.0.0.1:1\"\n",
		serverFile:  "listen = \"127.0.0.1:1\"\n",
		pidFileName: strconv.Itoa(os.Getpid()) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.runStop(t.Context(), closeTimeout); err == nil || exitCode(err) != exitError {
		t.Errorf("got %v", err) // the process that must not be ended is this test
	}
}
