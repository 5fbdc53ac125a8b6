package durable_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"zenith/internal/durable"
)

// doomed is set in the child process that kills itself while it replaces the file that it names.
const doomed = "DURABLE_DOOMED"

func TestMain(m *testing.M) {
	if path := os.Getenv(doomed); path != "" {
		die(path)
	}
	os.Exit(m.Run())
}

// die replaces the file at path, and is killed when the new content has been written.
func die(path string) {
	_ = durable.Replace(path, 0o600, func(f *os.File) error {
		if _, err := f.WriteString(strings.Repeat("new", 10000)); err != nil {
			return err
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	})
	os.Exit(1) // it was not killed
}

// TestKilled: processes that are killed before the rename leave the old content, and at most
// one more file, which keeps nobody from replacing the file and goes when somebody does.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), doomed+"="+path)
		out, err := cmd.CombinedOutput()
		if state := cmd.ProcessState; state == nil || state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the child ended with %v: %s", err, out)
		}
		if content, err := os.ReadFile(path); err != nil || string(content) != "old" {
			t.Fatalf("after the kill the file has %q, %v", content, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 2 || durable.Leftover("file") || !durable.Leftover(entries[1].Name()) {
			t.Fatalf("after the kill the directory has %v, %v", entries, err)
		}
	}
	if err := durable.WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "new" {
		t.Errorf("got %q, %v", content, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory has %v, %v", entries, err)
	}
}
