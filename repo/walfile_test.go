package repo_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"zenith/repo"
	"zenith/repo/repotest"
)

// TestCutSegment: a segment that somebody cut short while it is mapped is an error to who reads
// it, not the end of the process; and what is left of it can be read.
func TestCutSegment(t *testing.T) {
	tl, segments, plain := packedLog(t)
	start := tl.StartLSN() - tl.StartLSN()%repotest.SegSize
	if _, err := readSegment(tl, start); err != nil {
		t.Fatal(err)
	}
	path := tl.SegmentPath(start)
	if err := os.Truncate(path, repotest.SegSize/2); err != nil {
		t.Fatal(err)
	}
	got, err := readSegment(tl, start)
	if !errors.Is(err, syscall.EIO) && !errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("%s cut short: %v", segments[0], err)
	}
	if n := len(got); n < repotest.SegSize/4 || string(got) != string(plain[0][:n]) {
		t.Errorf("%s cut short: %d bytes read", segments[0], n)
	}
	if got, err = readSegment(tl, start+repotest.SegSize); err != nil || string(got) != string(plain[1]) {
		t.Errorf("%s behind it: %v", segments[1], err)
	}
}
