package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"zenith/internal/api"
)

// TestUpwards: a work directory is found from below, as git's is, but not by init.
func TestUpwards(t *testing.T) {
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(top, "a", "b")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := upwards(below, defaultWorkdir); got != defaultWorkdir {
		t.Errorf("where there is none: %q", got)
	}
	work := filepath.Join(top, defaultWorkdir)
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := upwards(below, defaultWorkdir); got != defaultWorkdir {
		t.Errorf("above a directory that is none: %q", got)
	}
	if err := os.WriteFile(filepath.Join(work, configFile), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := upwards(below, defaultWorkdir); got != work {
		t.Errorf("below one: %q, want %q", got, work)
	}
	if got := upwards(top, defaultWorkdir); got != defaultWorkdir {
		t.Errorf("beside one: %q", got)
	}
}

// TestSuggestion: a slip of the pen is recognised.
func TestSuggestion(t *testing.T) {
	s := newSession(t)
	s.expect("brnch", exitUsage, "", "zenith: unknown command \"brnch\": did you mean \"branch\"? (see zenith --help)\n")
	s.expect("zzz", exitUsage, "", "zenith: unknown command \"zzz\" (see zenith --help)\n")
}

// TestSpans: how times and sizes read.
func TestSpans(t *testing.T) {
	for d, want := range map[string]string{"90s": "1m30s", "59m": "59m", "6d23h59m59s": "7d", "1h48m": "1h48m", "26h": "1d02h", "0.5s": "0s"} {
		if got := spanText(duration(t, d), true); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 230 << 20: "230 MiB", 5 << 40: "5.0 TiB"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, ok := api.ParseAge(text)
	if !ok {
		t.Fatalf("%q is no duration", text)
	}
	return d
}
