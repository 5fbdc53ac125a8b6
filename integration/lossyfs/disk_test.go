package lossyfs

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// put makes a file with a content that is durable.
func put(d *disk, dir *file, name, content string) *file {
	f := d.newFile(syscall.S_IFREG | 0o600)
	d.apply(step{dir, name, f})
	f.write([]byte(content), 0)
	f.sync()
	return f
}

// text gives the content of a file, "-" if there is none of that name.
func text(dir *file, name string) string {
	f, err := dir.lookup(name)
	if err != nil {
		return "-"
	}
	p := make([]byte, f.now.size)
	return string(p[:f.read(p, 0)])
}

// outcomes cuts the power of a disk that build makes, with many seeds, and lists what look saw, each once.
func outcomes(build func(d *disk), look func(root *file) string) map[string]bool {
	seen := map[string]bool{}
	for seed := range uint64(200) {
		d := newDisk()
		build(d)
		seen[look(d.after(seed).root)] = true
	}
	return seen
}

func wantOutcomes(t *testing.T, got map[string]bool, want ...string) {
	t.Helper()
	for _, w := range want {
		if !got[w] {
			t.Errorf("no cut leaves %q", w)
		}
		delete(got, w)
	}
	for g := range got {
		t.Errorf("a cut leaves %q", g)
	}
}

// TestContentsAfterACut: what was synced is there, and of the rest any part.
func TestContentsAfterACut(t *testing.T) {
	d := newDisk()
	f := put(d, d.root, "f", strings.Repeat("o", 2*blockSize))
	f.write([]byte(strings.Repeat("n", blockSize)), blockSize/2)
	kinds := map[string]int{}
	for seed := range uint64(200) {
		got := text(d.after(seed).root, "f")
		if len(got) != 2*blockSize || strings.Trim(got, "on") != "" {
			t.Fatalf("a file of %d bytes, %q", len(got), strings.Trim(got, "on"))
		}
		if got[:blockSize/2]+got[blockSize+blockSize/2:] != strings.Repeat("o", blockSize) {
			t.Fatal("bytes that nobody wrote have changed")
		}
		for at := 0; at < len(got); at += sectorSize {
			if s := got[at : at+sectorSize]; strings.Trim(s, s[:1]) != "" {
				t.Fatalf("the sector at %d is torn", at)
			}
		}
		kinds[fmt.Sprint(strings.Count(got, "n"))]++
	}
	if len(kinds) < 5 || kinds["0"] == 0 || kinds[fmt.Sprint(blockSize)] == 0 {
		t.Errorf("new bytes after a cut: %v", kinds)
	}
	f.sync()
	for seed := range uint64(20) {
		if got := text(d.after(seed).root, "f"); strings.Count(got, "n") != blockSize {
			t.Error("what was synced is lost")
		}
	}
}

// TestLengthAfterACut: the length is the old or the new one, and bytes that come with it are zeros or what was written.
func TestLengthAfterACut(t *testing.T) {
	wantOutcomes(t, outcomes(
		func(d *disk) { put(d, d.root, "f", "ab").write([]byte("cd"), 2) },
		func(root *file) string { return text(root, "f") }),
		"ab", "ab\x00\x00", "abcd")
	wantOutcomes(t, outcomes(
		func(d *disk) { put(d, d.root, "f", "abcd").truncate(2) },
		func(root *file) string { return text(root, "f") }),
		"abcd", "ab", "ab\x00\x00")
}

// TestNamesAfterACut: of the changes of names the first few are kept, and all that were synced.
func TestNamesAfterACut(t *testing.T) {
	names := func(root *file) string { return text(root, "a") + text(root, "b") + text(root, "c") }
	replace := func(d *disk) {
		put(d, d.root, "a", "1")
		put(d, d.root, "b", "2")
		d.apply(step{d.root, "a", d.root.names["b"]}, step{d.root, "b", nil})
		d.apply(step{d.root, "c", d.root.names["a"]})
	}
	wantOutcomes(t, outcomes(replace, names), "12-", "2--", "2-2")
	wantOutcomes(t, outcomes(func(d *disk) { replace(d); d.root.sync() }, names), "2-2")
	wantOutcomes(t, outcomes(func(d *disk) {
		put(d, d.root, "a", "1")
		d.apply(step{d.root, "a", nil})
	}, names), "1--", "---")
	// A file that was never synced may not be there, or be empty.
	wantOutcomes(t, outcomes(func(d *disk) {
		f := d.newFile(syscall.S_IFREG)
		d.apply(step{d.root, "a", f})
		f.write([]byte("1"), 0)
	}, names), "---", "--", "\x00--", "1--")
}

// TestMovesAfterACut: what is moved to another directory is in one of the two.
func TestMovesAfterACut(t *testing.T) {
	move := func(d *disk) (from, to *file) {
		from, to = d.newFile(syscall.S_IFDIR), d.newFile(syscall.S_IFDIR)
		d.apply(step{d.root, "from", from})
		d.apply(step{d.root, "to", to})
		d.root.sync()
		f := put(d, from, "f", "1")
		put(d, to, "other", "2")
		d.apply(step{to, "f", f}, step{from, "f", nil})
		return from, to
	}
	look := func(root *file) string { return text(root.names["from"], "f") + text(root.names["to"], "f") }
	wantOutcomes(t, outcomes(func(d *disk) { move(d) }, look), "1-", "-1")
	wantOutcomes(t, outcomes(func(d *disk) { from, _ := move(d); from.sync() }, look), "-1")
	wantOutcomes(t, outcomes(func(d *disk) { _, to := move(d); to.sync() }, look), "-1")
}
