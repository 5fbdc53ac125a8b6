package lossyfs_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"zenith/integration/lossyfs"
)

const servedEnv = "ZENITH_LOSSYFS_TEST"

func TestMain(m *testing.M) {
	if dir := os.Getenv(servedEnv); dir != "" {
		if err := lossyfs.Serve(dir, os.Stdin, os.Stdout); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestServe uses a mounted disk as PostgreSQL and badger do, and cuts its power.
func TestServe(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a mount without fusermount needs root")
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), servedEnv+"="+dir), os.Stderr
	to, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		to.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	replies := bufio.NewScanner(out)
	answer := func(command string) {
		t.Helper()
		if command != "" {
			fmt.Fprintln(to, command)
		}
		if !replies.Scan() || replies.Text() != "ok" {
			t.Fatalf("%s: %q", command, replies.Text())
		}
	}
	answer("")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	sync := func(name string) {
		t.Helper()
		f, err := os.Open(name)
		check(err)
		check(f.Sync())
		check(f.Close())
	}
	wal, bound := filepath.Join(dir, "wal"), filepath.Join(dir, "bound")
	check(os.Mkdir(wal, 0o755))
	check(os.Mkdir(bound, 0o755))
	sync(dir)
	for seed := range 20 {
		name := fmt.Sprintf("%d", seed)
		// A segment: made under another name, renamed, its directory synced, linked elsewhere; then written and synced.
		check(os.WriteFile(filepath.Join(bound, "temp"), make([]byte, 1<<20), 0o600))
		sync(filepath.Join(bound, "temp"))
		check(os.Rename(filepath.Join(bound, "temp"), filepath.Join(bound, name)))
		sync(bound)
		check(os.Link(filepath.Join(bound, name), filepath.Join(wal, name)))
		f, err := os.OpenFile(filepath.Join(bound, name), os.O_RDWR, 0)
		check(err)
		_, err = f.WriteAt([]byte("committed"), 8192)
		check(err)
		check(unix.Fdatasync(int(f.Fd())))
		// A table: written through a shared mapping, with msync.
		table, err := os.OpenFile(filepath.Join(wal, "table"+name), os.O_RDWR|os.O_CREATE, 0o600)
		check(err)
		check(table.Truncate(1 << 16))
		mapped, err := unix.Mmap(int(table.Fd()), 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		check(err)
		copy(mapped[5000:], "mapped")
		check(unix.Msync(mapped, unix.MS_SYNC))
		copy(mapped[9000:], "never synced")
		answer("cut")
		if _, err := f.WriteAt([]byte("too late"), 0); err == nil {
			if err := unix.Fdatasync(int(f.Fd())); err == nil {
				t.Fatal("a write after the cut was synced")
			}
		}
		check(unix.Munmap(mapped))
		table.Close()
		f.Close()
		answer(fmt.Sprintf("back %d", seed))
		content, err := os.ReadFile(filepath.Join(bound, name))
		if err != nil || len(content) != 1<<20 || string(content[8192:8201]) != "committed" {
			t.Fatalf("seed %d: the segment is lost: %d bytes, %v", seed, len(content), err)
		}
		content, err = os.ReadFile(filepath.Join(wal, "table"+name))
		if err != nil || len(content) != 1<<16 || string(content[5000:5006]) != "mapped" {
			t.Fatalf("seed %d: the table is lost: %d bytes, %v", seed, len(content), err)
		}
	}
}
