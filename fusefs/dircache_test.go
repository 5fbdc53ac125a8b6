package fusefs_test

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReadOnlyDirectoryLosesCache has the kernel drop a directory's cached names while a process is
// in the midst of them: it then asks for the rest through a handle that was not read before.
func TestReadOnlyDirectoryLosesCache(t *testing.T) {
	requireFuse(t)
	const count = 1000
	mem := map[string]string{}
	for i := range count {
		mem[fmt.Sprintf("base/5/%d", 16384+i)] = "x"
	}
	m := startMount(t, spec{Kind: "ro", Mem: mem})
	dir := m.dir + "/base/5"
	for range 2 { // the first one only makes the kernel notice that it may cache
		if names, err := os.ReadDir(dir); err != nil || len(names) != count {
			t.Fatalf("%d names: %v", len(names), err)
		}
	}
	first := m.ask(t, "calls")
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	seen, buf := 0, make([]byte, 512)
	for dropped := false; ; dropped = true {
		n, err := unix.Getdents(fd, buf)
		if err != nil {
			t.Fatalf("after %d names: %v", seen, err)
		}
		if n == 0 {
			break
		}
		_, entries, _ := unix.ParseDirent(buf[:n], -1, nil)
		seen += entries
		if !dropped {
			if again := m.ask(t, "calls"); again != first {
				t.Fatalf("the names were not in the kernel's cache: calls went from %q to %q", first, again)
			}
			if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
				t.Fatal(err)
			}
		}
	}
	if seen != count {
		t.Errorf("saw %d names, want %d", seen, count)
	}
	if m.ask(t, "calls") == first {
		t.Error("nothing was asked: the cache was not dropped, and this test shows nothing")
	}
}
