package fusefs_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWorkConfig(t *testing.T) {
	requireFuse(t)
	s := workSpec(t)
	m := startMount(t, s)
	conf := m.dir + "/postgresql.conf"
	if err := os.WriteFile(conf, []byte("port = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, s.ConfDir+"/postgresql.conf", []byte("port = 1\n")) // close(2) has stored it
	f, err := os.OpenFile(conf, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("fsync = on\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	wantFile(t, s.ConfDir+"/postgresql.conf", []byte("port = 1\nfsync = on\n"))
	f.Close()

	// As ALTER SYSTEM does, and as sed -i does.
	for _, temp := range []string{"postgresql.auto.conf.tmp", "sedXYZ"} {
		if err := os.WriteFile(m.dir+"/"+temp, []byte("# "+temp+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(m.dir+"/"+temp, m.dir+"/postgresql.auto.conf"); err != nil {
			t.Fatal(err)
		}
		wantFile(t, s.ConfDir+"/postgresql.auto.conf", []byte("# "+temp+"\n"))
	}
	if got := m.said("postgresql.auto.conf.tmp\""); len(got) != 0 {
		t.Errorf("a temporary file was stored: %v", got)
	}
	if err := os.Remove(conf); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(m.dir+"/conf.d", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.dir+"/conf.d/a.conf", []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(m.dir+"/conf.d", m.dir+"/conf.e"); err != nil {
		t.Fatal(err)
	}
	wantFile(t, s.ConfDir+"/conf.e/a.conf", []byte("a"))
	if got := listing(t, s.ConfDir) + listing(t, s.ConfDir+"/conf.d"); got != "conf.d conf.e postgresql.auto.conf" {
		t.Errorf("stored: %s", got)
	}
	refused(t, "a huge configuration", os.Truncate(m.dir+"/conf.e/a.conf", 1<<30), syscall.EFBIG)
}

// TestWorkConfigAtTheEnd: a file that was written and never closed is stored when the mount ends.
func TestWorkConfigAtTheEnd(t *testing.T) {
	requireFuse(t)
	m := startMount(t, workSpec(t))
	f, err := os.OpenFile(m.dir+"/pg_hba.conf", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("local all all trust\n"); err != nil {
		t.Fatal(err)
	}
	if got := m.ask(t, "unmount"); !strings.HasPrefix(got, "busy") || !strings.Contains(got, "pid") {
		t.Errorf("unmount while in use: %s", got)
	}
	if got := m.ask(t, "lazy"); got != "ok" {
		t.Fatalf("lazy: %s", got)
	}
	if got := m.said("put pg_hba.conf"); len(got) != 0 {
		t.Errorf("stored before it was closed: %v", got)
	}
	f.Close()
	m.eventually(t, "put pg_hba.conf \"local all all trust")
	m.eventually(t, "ended <nil>")
	if _, err := os.Stat(m.dir + "/PG_VERSION"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}

// TestWorkCacheIsNotOld: prefetching fills the kernel's cache even for a file whose reads and
// writes go past that cache. No process may read those old bytes later.
func TestWorkCacheIsNotOld(t *testing.T) {
	bothWays(t, func(t *testing.T, s spec) {
		m := startMount(t, s)
		name := m.dir + "/new.tmp"
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		old, want := bytes.Repeat([]byte("o"), 16384), bytes.Repeat([]byte("n"), 16384)
		if _, err := f.WriteAt(old, 0); err != nil {
			t.Fatal(err)
		}
		if err := unix.Fadvise(int(f.Fd()), 0, 16384, unix.FADV_WILLNEED); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the kernel to read ahead", func() bool {
			var cached unix.Cachestat_t
			err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Len: 16384}, &cached, 0)
			return err != nil || cached.Cache == 4 // older kernels cannot tell
		})
		if _, err := f.WriteAt(want, 0); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := os.Rename(name, m.dir+"/new.conf"); err != nil {
			t.Fatal(err)
		}
		wantFile(t, m.dir+"/new.conf", want)
		wantFile(t, s.ConfDir+"/new.conf", want)
	})
}
