package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/api"
	"zenith/internal/pg"
)

func (f *fakeServer) Push(_ context.Context, _, branch string, o api.PushOptions) (api.PushResult, error) {
	r := api.PushResult{Tenant: o.Tenant, From: new(pg.LSN(0x1000000)), LSN: 0x16B3748, Bytes: 7}
	switch branch {
	case "new":
		r.From = nil
	case "same":
		r.From, r.Bytes = new(r.LSN), 0
	}
	return r, f.err
}

// TestRemotes gives names to other page servers, and pushes to them.
func TestRemotes(t *testing.T) {
	s := newSession(t)
	s.expect("remote list", 0, "NAME  CONNINFO\n", "")
	s.expect("remote add backup db7:6400", 0, "", "")
	s.expect("remote add b2 host=db8", 0, "", "")
	s.expect("remote add backup db9", 1, "", "zenith: remote backup: already exists\n")
	s.expect("remote add a:b db9", 2, "", "zenith: remote \"a:b\": want a name of letters, digits, _, . and -\n")
	s.expect("remote list", 0, "NAME    CONNINFO\nb2      host=db8\nbackup  db7:6400\n", "")
	s.expect("push main backup", 0, "pushed main to backup: from 0/1000000 to 0/16B3748; sent 7 bytes\n", "")
	s.expect("push new backup", 0, "pushed new to backup: new, up to 0/16B3748; sent 7 bytes\n", "")
	s.expect("push same b2", 0, "pushed same to b2: up to date at 0/16B3748; sent 0 bytes\n", "")
	s.expect("push main b3", 13, "", "zenith: remote b3: no such remote (zenith remote add)\n")
	s.expect("push main b2 --remote-tenantid x", 2, "", "zenith: --remote-tenantid \"x\": want 32 lower-case hex digits\n")
	s.expect("remote remove backup", 0, "", "")
	s.expect("remote remove backup", 13, "", "zenith: remote backup: no such remote (zenith remote add)\n")
	s.fake.err = api.Errorf(api.ErrNotAllowed, "push main: gone another way")
	s.expect("push main b2", 12, "", "zenith: push main: gone another way\n")
}

// TestElsewhere: commands that mount are refused if the page server is on another machine.
func TestElsewhere(t *testing.T) {
	s := newSession(t)
	s.fake.machine = "another"
	for _, line := range []string{"mount main /mnt/x", "mount /mnt/x", "umount /mnt/x"} {
		code, out, err := s.run(t.Context(), strings.Fields(line)...)
		if code != exitNotAllowed || out != "" || !strings.Contains(err, "is on another machine") || strings.Count(err, "\n") != 1 {
			t.Errorf("%s: exit %d, %q, %q", line, code, out, err)
		}
	}
	s.expect("lsn main", 0, "0/16B3748\n", "")
	s.expect("pg list", 0, "BRANCH  ADDRESS          LSN        STATUS\nmain    127.0.0.1:55432  0/16B3748  running(there)\n", "")
	code, _, err := s.run(t.Context(), "pg", "stop", "main")
	if code != exitOK {
		t.Errorf("pg stop of the page server's own: exit %d, %q", code, err)
	}
	if isDir(filepath.Join(s.workdir, copiesDir)) {
		t.Error("looking for copies made a directory")
	}
}
