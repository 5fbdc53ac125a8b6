package fusefs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func listing(t *testing.T, dir string) string {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, n := range names {
		list = append(list, n.Name())
	}
	return strings.Join(list, " ")
}

func readlink(t *testing.T, path string) string {
	t.Helper()
	target, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestAllListsAndResolves(t *testing.T) {
	requireFuse(t)
	m := startMount(t, spec{Kind: "all"})
	a := filepath.Join(m.dir, "tenants", tenantA)
	for dir, want := range map[string]string{
		m.dir:                          "tenants",
		m.dir + "/tenants":             tenantA + " " + tenantB,
		a:                              "branches timelines",
		a + "/branches":                "feature main",
		a + "/branches/feature":        "log x",
		a + "/branches/feature/log/in": "base lsn",
		a + "/timelines":               timelineA,
		a + "/branches/main":           "base lsn",
		a + "/branches/main/.":         "base lsn",
	} {
		if got := listing(t, dir); got != want {
			t.Errorf("%s has %q, want %q", dir, got, want)
		}
	}
	if got, want := readlink(t, a+"/branches/main"), "../timelines/"+timelineA; got != want {
		t.Errorf("main leads to %s, want %s", got, want)
	}
	if got, want := readlink(t, a+"/branches/main@0_2000"), "../timelines/"+timelineA+"@0000000000002000"; got != want {
		t.Errorf("main@0_2000 leads to %s, want %s", got, want)
	}
	if got, want := readlink(t, a+"/branches/feature/x"), "../../timelines/"+timelineA; got != want {
		t.Errorf("feature/x leads to %s, want %s", got, want)
	}
	for path, want := range map[string]string{
		"/branches/feature/log/in@0_2000/lsn":                "0/2000",
		"/branches/main@0_2000/lsn":                          "0/2000",
		"/timelines/" + timelineA + "@0_3000/lsn":            "0/3000",
		"/timelines/" + timelineA + "@0000000000003000/lsn":  "0/3000",
		"/timelines/" + timelineA + "@0_3000/base/5/16384":   "x",
		"/timelines/" + timelineA + "@0_3000/./base/5/16384": "x",
	} {
		if got := string(readFile(t, a+path)); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}

// TestAllHeadMoves: a timeline's link is resolved each time it is read, and a state that was
// mounted does not change.
func TestAllHeadMoves(t *testing.T) {
	requireFuse(t)
	m := startMount(t, spec{Kind: "all"})
	link := filepath.Join(m.dir, "tenants", tenantA, "timelines", timelineA)
	first := readlink(t, link)
	text := readFile(t, filepath.Join(filepath.Dir(link), first, "lsn"))
	if second := readlink(t, link); second == first {
		t.Errorf("the head is %s both times", first)
	}
	if again := readFile(t, filepath.Join(filepath.Dir(link), first, "lsn")); string(again) != string(text) {
		t.Errorf("%s was %s, is %s", first, text, again)
	}
}

func TestAllRefuses(t *testing.T) {
	requireFuse(t)
	m := startMount(t, spec{Kind: "all"})
	a := filepath.Join(m.dir, "tenants", tenantA)
	for path, want := range map[string]error{
		m.dir + "/tenants/nobody":              syscall.ENOENT,
		a + "/branches/nobody":                 syscall.ENOENT,
		a + "/branches/feat":                   syscall.ENOENT,
		a + "/branches/feature/y":              syscall.ENOENT,
		a + "/branches/feature@0_2000":         syscall.ENOENT,
		a + "/branches/main@0_9999":            syscall.ENOENT,
		a + "/branches/main@0_DEAD":            syscall.EIO,
		a + "/timelines/bbbb":                  syscall.ENOENT,
		a + "/timelines/" + timelineA + "@":    syscall.ENOENT,
		a + "/timelines/" + timelineA + "@x":   syscall.ENOENT,
		a + "/timelines/" + timelineA + "@9/0": syscall.ENOENT,
		a + "/timelines/bbbb@0_2000":           syscall.ENOENT,
	} {
		if _, err := os.Lstat(path); !errors.Is(err, want) {
			t.Errorf("lstat %s: %v, want %v", path, err, want)
		}
	}
	if err := os.WriteFile(m.dir+"/x", nil, 0o600); !errors.Is(err, syscall.EROFS) {
		t.Errorf("create: %v, want EROFS", err)
	}
}

// TestAllClosesStates: a state is released when the kernel forgets it, at the latest when the
// mount ends, and made again if it is used again.
func TestAllClosesStates(t *testing.T) {
	requireFuse(t)
	m := startMount(t, spec{Kind: "all"})
	state := filepath.Join(m.dir, "tenants", tenantA, "timelines", timelineA+"@0_2000")
	readFile(t, state+"/lsn")
	if os.Geteuid() == 0 {
		deadline := time.Now().Add(patience)
		for !strings.HasSuffix(m.ask(t, "calls"), " 1") {
			if time.Now().After(deadline) {
				t.Fatal("the state was not closed after the kernel was told to forget")
			}
			if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0); err != nil {
				t.Skip(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	readFile(t, state+"/lsn")
	m.unmount(t)
	if got := m.ask(t, "calls"); !strings.HasSuffix(got, " 2") && os.Geteuid() == 0 {
		t.Errorf("after the end: %s, want 2 states closed", got)
	}
}
