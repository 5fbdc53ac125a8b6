package history

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"zenith/internal/pg"
)

// randomCommits makes commits as they follow each other, now and then odd ones.
func randomCommits(r *rand.Rand, n int) []Commit {
	var list []Commit
	lsn, at, xid := pg.LSN(r.Uint64N(1<<40))*8, pg.TimestampTz(r.Int64N(1<<50)), pg.TransactionID(r.Uint32())
	for range n {
		lsn += 8 * pg.LSN(1+r.IntN(1000))
		at += pg.TimestampTz(r.IntN(10000) - 100)
		xid += pg.TransactionID(r.IntN(5) - 1)
		c := Commit{
			LSN: lsn, Time: at, XID: xid, Bytes: r.Uint64N(1 << (1 + r.IntN(40))),
			Aborted: r.IntN(9) == 0, Prepared: r.IntN(9) == 0, Partial: r.IntN(9) == 0,
		}
		for range r.IntN(8) / 6 * r.IntN(20) {
			c.SubXIDs = append(c.SubXIDs, xid+pg.TransactionID(r.IntN(100)))
		}
		for range r.IntN(6) {
			c.Changes = append(c.Changes, Change{
				Rel:  pg.RelFileLocator{SpcOID: 1663, DBOID: pg.OID(r.IntN(3)), RelNumber: pg.OID(r.Uint32() >> r.IntN(32))},
				What: What(r.IntN(32) * r.IntN(2)), Inserted: uint64(r.IntN(4)), Updated: r.Uint64N(1<<40) * r.Uint64N(2), Deleted: uint64(r.IntN(2)),
				Images: uint64(r.IntN(3)),
			})
		}
		list = append(list, c)
	}
	return list
}

// TestChunk: what is encoded is decoded, also by a Chunk that was used before.
func TestChunk(t *testing.T) {
	var k Chunk
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		want := randomCommits(r, 1+r.IntN(200))
		k.Reset()
		for i := range want {
			k.Add(&want[i])
		}
		b := k.Encode()
		got, err := Decode(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got %+v, %v, want %+v", seed, got, err, want)
		}
		if k.First() != want[0].LSN || k.Last() != want[len(want)-1].LSN || k.Len() != len(want) || k.Size() < len(b)-32 {
			t.Errorf("seed %d: %v to %v, %d commits of %d bytes, %d encoded", seed, k.First(), k.Last(), k.Len(), k.Size(), len(b))
		}
		if _, err := Decode(b[:len(b)-1]); !errors.Is(err, pg.ErrCorrupt) {
			t.Errorf("seed %d: cut short: %v", seed, err)
		}
	}
}

// TestRunning: a Tracker goes on where another one was.
func TestRunning(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	a := NewTracker(700)
	for _, c := range randomCommits(r, 50) {
		of := a.tally(c.XID)
		of.bytes += c.Bytes
		for _, ch := range c.Changes {
			of.of(ch.Rel).add(ch)
		}
		a.fresh = append(a.fresh, pg.RelFileLocator{RelNumber: pg.OID(c.XID)})
	}
	b, err := Resume(a.Running())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Running(), b.Running()) || b.since != 700 || len(b.open) != len(a.open) {
		t.Errorf("%+v became %+v", a, b)
	}
	for xid, of := range a.open {
		if got := b.open[xid]; got.bytes != of.bytes || len(got.changes) > 0 && !reflect.DeepEqual(got.changes, of.changes) {
			t.Errorf("%d: %+v became %+v", xid, of, got)
		}
	}
}

// FuzzDecode: bytes of any kind are commits or an error.
func FuzzDecode(f *testing.F) {
	var k Chunk
	for _, c := range randomCommits(rand.New(rand.NewPCG(1, 2)), 20) {
		k.Add(&c)
	}
	f.Add(k.Encode())
	f.Add([]byte{chunkVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Decode(b); err != nil && !errors.Is(err, pg.ErrCorrupt) {
			t.Errorf("%v", err)
		}
		if tr, err := Resume(b); err == nil {
			tr.Running()
		} else if !errors.Is(err, pg.ErrCorrupt) {
			t.Errorf("%v", err)
		}
	})
}
