package repo_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"zenith/internal/pg"
	"zenith/repo"
	"zenith/repo/repotest"
)

// packedLog gives a timeline with five segments of WAL that compresses a bit, and what is
// in them.
func packedLog(t *testing.T) (tl *repo.Timeline, segments []string, plain [][]byte) {
	t.Helper()
	tl = repotest.Create(t, repotest.Open(t, repotest.Redo), "main")
	log, rnd := repotest.NewLog(tl), rand.New(rand.NewPCG(1, 2))
	tag := pg.BufferTag{RelFork: pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1663, DBOID: 5, RelNumber: 16384}}}
	for xid := pg.TransactionID(700); log.End < 0x1500000; xid++ {
		data := make([]byte, 2000+rnd.IntN(4000))
		for i := range data[:len(data)/3] {
			data[i] = byte(rnd.Uint32())
		}
		log.Add(t, repotest.Rec{Rmgr: 10, XID: xid, Blocks: []repotest.Block{{Tag: tag, Data: data}}})
	}
	entries, err := os.ReadDir(tl.WALDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(tl.WALDir(), e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		segments, plain = append(segments, e.Name()), append(plain, b)
	}
	return tl, segments, plain
}

// readSegment reads through the timeline, in steps of odd sizes.
func readSegment(tl *repo.Timeline, at pg.LSN) ([]byte, error) {
	b := make([]byte, repotest.SegSize)
	for n := 0; n < len(b); {
		k, err := tl.WAL().ReadWAL(b[n:min(len(b), n+9001)], at+pg.LSN(n))
		if err != nil {
			return b[:n], err
		}
		n += k
	}
	return b, nil
}

// TestPackWAL: packed segments are smaller, and read as they were; what a server has stays
// as it is; and a segment becomes a plain file again for it.
func TestPackWAL(t *testing.T) {
	tl, segments, plain := packedLog(t)
	path := func(i int) string { return filepath.Join(tl.WALDir(), segments[i]) }
	tl.HoldWAL(func(name string) bool { return name >= segments[3] })
	for range 2 {
		if err := tl.PackUpTo(0x1500000); err != nil {
			t.Fatal(err)
		}
		for i := range segments {
			now, err := os.ReadFile(path(i))
			if err != nil {
				t.Fatal(err)
			}
			if packed := len(now) < repotest.SegSize/2; packed != (i < 3) || !packed && !slices.Equal(now, plain[i]) {
				t.Errorf("%s: %d bytes", segments[i], len(now))
			}
			got, err := readSegment(tl, pg.LSN(0x1000000+i*repotest.SegSize))
			if err != nil || !slices.Equal(got, plain[i]) {
				t.Errorf("%s: %d bytes are read, not what was there: %v", segments[i], len(got), err)
			}
		}
	}
	for i := range 2 {
		if err := tl.PlainWAL(segments[i]); err != nil {
			t.Fatal(err)
		}
		if now, err := os.ReadFile(path(i)); err != nil || !slices.Equal(now, plain[i]) {
			t.Errorf("%s is %d bytes: %v", segments[i], len(now), err)
		}
	}
	if err := tl.PlainWAL("000000010000000000000099"); err != nil {
		t.Errorf("a segment that is not there: %v", err)
	}
	tl.HoldWAL(nil)
}

// TestDamagedPack: a packed segment with a bit turned, or cut short, is an error or reads
// as the right number of bytes, whose records have checksums of their own.
func TestDamagedPack(t *testing.T) {
	tl, segments, _ := packedLog(t)
	if err := tl.PackUpTo(0x1400000); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(tl.WALDir(), segments[1])
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range 60 {
		b := slices.Clone(sound)
		switch at := rnd.IntN(len(b)); {
		case i < 20:
			b[i] ^= 1 << rnd.IntN(8) // the head
		case i%2 == 0:
			b[at] ^= 1 << rnd.IntN(8)
		default:
			b = b[:at]
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		tl.WAL().Forget(0x1100000)
		got, err := readSegment(tl, 0x1100000)
		if i > 8 && i < 20 && err == nil {
			t.Errorf("byte %d of the index was turned, and %d bytes are read", i, len(got))
		}
		if err != nil && !errors.Is(err, repo.ErrCorrupt) && i >= 8 {
			t.Errorf("damage %d: %v", i, err)
		}
	}
	if err := os.WriteFile(path, sound, 0o600); err != nil {
		t.Fatal(err)
	}
	tl.WAL().Forget(0x1100000)
}
