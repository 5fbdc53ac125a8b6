package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/api"
)

func TestSeekLines(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, tt := range []struct {
		text string
		n    int
		want string
	}{
		{"", 3, ""}, {"a\n", 0, ""}, {"a\n", 1, "a\n"}, {"a\nb\nc\n", 2, "b\nc\n"}, {"a\nb\nc", 2, "b\nc"}, {"a\nb\n", 9, "a\nb\n"},
		{"a\n\n", 1, "\n"}, {"a\n" + long + "\nb\n", 2, long + "\nb\n"}, {long + "\n", 1, long + "\n"},
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := seekLines(f, tt.n); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || string(got) != tt.want {
			t.Errorf("%d of %.20q: %.20q, %v", tt.n, tt.text, got, err)
		}
	}
}

// TestWorstFirst: what is wrong comes first, and sizes have units.
func TestWorstFirst(t *testing.T) {
	rows := worstFirst([]api.StatusRow{{Name: "uptime", Value: "1s"}, {Name: api.ProblemRow, Value: "critical: x"}, {Name: "wal_bytes", Value: "2048"}})
	if rows[0].Name != api.ProblemRow || rows[1].Name != "uptime" || len(rows) != 3 {
		t.Errorf("got %v", rows)
	}
	if got := humanValue(rows[2]); got != "2.0 KiB" {
		t.Errorf("got %q", got)
	}
	if got := humanValue(rows[0]); got != "critical: x" {
		t.Errorf("got %q", got)
	}
}
