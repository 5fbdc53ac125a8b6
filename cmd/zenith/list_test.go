package main

import (
	"context"
	"strings"
	"testing"

	"zenith/internal/api"
)

func (f *fakeServer) ReceiveList(context.Context, string) ([]api.Receiver, error) {
	return []api.Receiver{{Branch: "main", ConnInfo: "host=db7", Status: "streaming", Received: 0x16B3748, Flushed: 0x16B3740, Applied: 0x16B3000, LagBytes: new(int64(8)), LagSeconds: new(int64(3))}}, f.err
}

// TestListsAsJSON: what scripts read.
func TestListsAsJSON(t *testing.T) {
	s := newSession(t)
	s.expect("remote add far db7:6400", 0, "", "")
	for line, want := range map[string]string{
		"branch": `[
  {
    "name": "main",
    "timeline_id": "` + lineA + `",
    "latest_valid_lsn": "0/2000000",
    "ancestor_id": null,
    "ancestor_lsn": null
  },
  {
    "name": "dev",
    "timeline_id": "` + lineB + `",
    "latest_valid_lsn": "0/16B3800",
    "ancestor_id": "` + lineA + `",
    "ancestor_lsn": "0/1609610"
  }
]
`,
		"mount list": `[
  {
    "branch": "main",
    "dir": "/mnt/x",
    "errors": 0,
    "last_error": null,
    "lsn": "0/16B3748",
    "mode": "rw",
    "tenant": "` + tenantA + `",
    "timeline": "` + lineA + `"
  },
  {
    "branch": null,
    "dir": "/mnt/all",
    "errors": 2,
    "last_error": "tenants/x: not supported",
    "lsn": null,
    "mode": "tree",
    "tenant": null,
    "timeline": null
  }
]
`,
		"pg list": `[
  {
    "account": null,
    "address": "127.0.0.1:55432",
    "branch": "main",
    "database": "postgres",
    "dir": "/d",
    "log": "/l",
    "lsn": "0/16B3748",
    "notes": null,
    "password_file": null,
    "restarts": "0",
    "status": "running",
    "timeline": "` + lineA + `",
    "uri": "postgresql://postgres@127.0.0.1:55432/postgres",
    "user": "postgres",
    "wal": null
  }
]
`,
		"receive list": `[
  {
    "applied": "0/16B3000",
    "branch": "main",
    "conninfo": "host=db7",
    "error": null,
    "flushed": "0/16B3740",
    "lag": "8 bytes, 3 s",
    "lag_bytes": 8,
    "lag_seconds": 3,
    "received": "0/16B3748",
    "since": null,
    "status": "streaming"
  }
]
`,
		"remote list": `[
  {
    "conninfo": "db7:6400",
    "name": "far"
  }
]
`,
	} {
		s.expect(line+" -o json", 0, want, "")
	}
	code, out, _ := s.run(t.Context(), "status", "-o", "json")
	if code != 0 || !strings.HasPrefix(out, "[\n  {\n    \"name\": \"page server\",\n    \"value\": \"running\"\n  },\n") {
		t.Errorf("status: %d\n%s", code, out)
	}
	s.expect("receive list", 0, "BRANCH  STATUS     RECEIVED   FLUSHED    APPLIED    LAG           SINCE  ERROR\nmain    streaming  0/16B3748  0/16B3740  0/16B3000  8 bytes, 3 s         \n", "")
	s.expect("remote list", 0, "NAME  CONNINFO\nfar   db7:6400\n", "")
}
