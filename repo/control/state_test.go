package control

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/quick"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

func TestStateEncoding(t *testing.T) {
	roundTrip := func(s State) bool {
		if len(s.Origins) == 0 {
			s.Origins = nil
		}
		got, err := Decode(s.Encode())
		return err == nil && reflect.DeepEqual(*got, s)
	}
	if err := quick.Check(roundTrip, &quick.Config{Rand: nil, MaxCount: 300}); err != nil {
		t.Fatal(err)
	}
	b := (&State{Origins: map[uint16]pg.LSN{1: 2}}).Encode()
	for n := range len(b) {
		if _, err := Decode(b[:n]); !errors.Is(err, pg.ErrCorrupt) {
			t.Fatalf("%d of %d bytes: %v", n, len(b), err)
		}
	}
}

// What PostgreSQL 15 has is encoded as it always was: an older program reads it.
func TestStateEncodingVersion(t *testing.T) {
	s := &State{CheckPoint: pg.CheckPoint{NextMultiOffset: 1<<32 - 1}, Settings: pg.ControlSettings{WALLevel: 2}}
	if b := s.Encode(); b[0] != stateVersion || len(b) != 1+6*8+88+4+3+6*4+4 {
		t.Errorf("a state is encoded in %d bytes of version %d", len(b), b[0])
	}
	for _, change := range []func(c *pg.CheckPoint){
		func(c *pg.CheckPoint) { c.WALLevel = 1 },
		func(c *pg.CheckPoint) { c.LogicalDecoding = true },
		func(c *pg.CheckPoint) { c.NextMultiOffset = 1 << 32 },
	} {
		wide := *s
		change(&wide.CheckPoint)
		b := wide.Encode()
		if got, err := Decode(b); err != nil || b[0] != stateVersionWide || !reflect.DeepEqual(*got, wide) {
			t.Errorf("version %d: got %+v, %v; want %+v", b[0], got, err, wide)
		}
		if _, err := Decode(b[:len(b)-1]); !errors.Is(err, pg.ErrCorrupt) {
			t.Errorf("a state cut short: got %v, want ErrCorrupt", err)
		}
	}
}

// rec makes a record with that main data.
func rec(rm xlog.RmgrID, info uint8, xid pg.TransactionID, main ...any) *xlog.Record {
	r := &xlog.Record{V: pg.V15, StartLSN: 8000, EndLSN: 8096, RmgrID: rm, Info: info, XID: xid}
	for _, v := range main {
		r.MainData, _ = binary.Append(r.MainData, binary.LittleEndian, v)
	}
	return r
}

func shutdown(cp pg.CheckPoint) *xlog.Record {
	return rec(xlog.RmXLOG, xlog.XLOGCheckpointShutdown, 0, pg.V15.AppendCheckPoint(nil, &cp))
}

func online(cp pg.CheckPoint) *xlog.Record {
	return rec(xlog.RmXLOG, xlog.XLOGCheckpointOnline, 0, pg.V15.AppendCheckPoint(nil, &cp))
}

// parameters is xl_parameter_change.
func parameters(level int32, trackCommits bool) *xlog.Record {
	return rec(xlog.RmXLOG, xlog.XLOGParameterChange, 0, int32(100), int32(8), int32(10), int32(0), int32(64), level, false, trackCommits)
}

func TestStateApply(t *testing.T) {
	base := pg.CheckPoint{
		ThisTLI: 1, PrevTLI: 1, NextXID: 5<<32 | 1000, NextOID: 20000, NextMulti: 10, NextMultiOffset: 30,
		OldestXID: 700, OldestXIDDB: 1, OldestMulti: 5, OldestMultiDB: 1, FullPageWrites: true,
	}
	with := func(f func(*pg.CheckPoint)) pg.CheckPoint {
		c := base
		f(&c)
		return c
	}
	for _, c := range []struct {
		name string
		recs []*xlog.Record
		want func(*pg.CheckPoint)
	}{
		{"an xid", []*xlog.Record{rec(xlog.RmHeap, 0, 1005)}, func(c *pg.CheckPoint) { c.NextXID = 5<<32 | 1006 }},
		{"an old xid", []*xlog.Record{rec(xlog.RmHeap, 0, 999)}, func(*pg.CheckPoint) {}},
		{"no xid", []*xlog.Record{rec(xlog.RmHeap, 0, 0)}, func(*pg.CheckPoint) {}},
		{"the last xid of an epoch", []*xlog.Record{shutdown(with(func(c *pg.CheckPoint) { c.NextXID = 5<<32 | 0xFFFFFFF0 })), rec(xlog.RmHeap, 0, 0xFFFFFFFF)},
			func(c *pg.CheckPoint) { c.NextXID = 6<<32 | 3 }},
		{"an xid of the next epoch", []*xlog.Record{shutdown(with(func(c *pg.CheckPoint) { c.NextXID = 5<<32 | 0xFFFFFFF0 })), rec(xlog.RmHeap, 0, 7)},
			func(c *pg.CheckPoint) { c.NextXID = 6<<32 | 8 }},
		{"subtransactions", []*xlog.Record{rec(xlog.RmXact, xlog.XactCommit|0x80, 1001, int64(5), uint32(xlog.XactHasSubxacts), int32(2), uint32(1002), uint32(1009))},
			func(c *pg.CheckPoint) { c.NextXID = 5<<32 | 1010 }},
		{"a prepared one's xid", []*xlog.Record{rec(xlog.RmXact, xlog.XactAbortPrepared|0x80, 0, int64(5), uint32(xlog.XactHasTwoPhase), uint32(1044))},
			func(c *pg.CheckPoint) { c.NextXID = 5<<32 | 1045 }},
		{"next oid", []*xlog.Record{rec(xlog.RmXLOG, xlog.XLOGNextOID, 0, uint32(28192))}, func(c *pg.CheckPoint) { c.NextOID = 28192 }},
		{"full_page_writes", []*xlog.Record{rec(xlog.RmXLOG, xlog.XLOGFPWChange, 0, false)}, func(c *pg.CheckPoint) { c.FullPageWrites = false }},
		{"a shutdown checkpoint is believed", []*xlog.Record{rec(xlog.RmHeap, 0, 2000), shutdown(base)}, func(*pg.CheckPoint) {}},
		{"an online one is a minimum", []*xlog.Record{
			rec(xlog.RmXLOG, xlog.XLOGNextOID, 0, uint32(30000)), rec(xlog.RmHeap, 0, 2000),
			online(with(func(c *pg.CheckPoint) {
				c.NextXID, c.NextOID, c.NextMulti, c.NextMultiOffset, c.OldestXID, c.Redo, c.Time = 5<<32|1500, 25000, 12, 20, 900, 64, 77
			}))}, func(c *pg.CheckPoint) {
			c.NextXID, c.NextOID, c.NextMulti, c.OldestXID, c.Redo, c.Time = 5<<32|2001, 30000, 12, 900, 64, 77
		}},
		{"a multixact", []*xlog.Record{rec(xlog.RmMultiXact, xlog.MultiXactCreateID, 0, uint32(10), uint32(30), int32(2), uint32(1003), uint32(0), uint32(1020), uint32(1))},
			func(c *pg.CheckPoint) { c.NextMulti, c.NextMultiOffset, c.NextXID = 11, 32, 5<<32|1021 }},
		{"truncation of pg_xact", []*xlog.Record{rec(xlog.RmCLOG, xlog.CLOGTruncate, 0, uint32(0), uint32(800), uint32(16384))},
			func(c *pg.CheckPoint) { c.OldestXID, c.OldestXIDDB = 800, 16384 }},
		{"truncation of multixacts", []*xlog.Record{rec(xlog.RmMultiXact, xlog.MultiXactTruncateID, 0, uint32(7), uint32(5), uint32(8), uint32(0), uint32(9))},
			func(c *pg.CheckPoint) { c.OldestMulti, c.OldestMultiDB = 8, 7 }},
		{"commit timestamps on", []*xlog.Record{parameters(1, true), rec(xlog.RmXact, xlog.XactCommit, 1003, int64(5))},
			func(c *pg.CheckPoint) { c.NextXID, c.OldestCommitTsXID, c.NewestCommitTsXID = 5<<32|1004, 1000, 1003 }},
		{"commit timestamps cut", []*xlog.Record{parameters(1, true), rec(xlog.RmXact, xlog.XactCommit, 1003, int64(5)), rec(xlog.RmCommitTs, xlog.CommitTsTruncate, 0, uint32(0), uint32(1002))},
			func(c *pg.CheckPoint) { c.NextXID, c.OldestCommitTsXID, c.NewestCommitTsXID = 5<<32|1004, 1002, 1003 }},
		{"commit timestamps off", []*xlog.Record{parameters(1, true), parameters(1, false), rec(xlog.RmXact, xlog.XactCommit, 1003, int64(5))},
			func(c *pg.CheckPoint) { c.NextXID = 5<<32 | 1004 }},
	} {
		s := &State{CheckPoint: base}
		for _, r := range c.recs {
			if err := s.Apply(r); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		if want := with(c.want); s.CheckPoint != want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, s.CheckPoint, want)
		}
	}
}

func TestStateShutdown(t *testing.T) {
	s := new(State)
	apply := func(r *xlog.Record) {
		t.Helper()
		if err := s.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	apply(shutdown(pg.CheckPoint{Redo: 8000, NextXID: 800}))
	if !s.Shutdown || s.LastCheckpoint != 8000 || s.Prev != 8000 || s.LSN != 8096 {
		t.Errorf("after a shutdown checkpoint: %+v", s)
	}
	apply(rec(xlog.RmXLOG, xlog.XLOGNoop, 0))
	if s.Shutdown {
		t.Error("the record after a shutdown checkpoint counts as one")
	}
	apply(online(pg.CheckPoint{Redo: 8000, NextXID: 800}))
	if s.Shutdown {
		t.Error("an online checkpoint counts as a shutdown's")
	}
}

func TestStateOriginsAndCommits(t *testing.T) {
	s := new(State)
	commit := rec(xlog.RmXact, xlog.XactCommit|0x80, 900, int64(500), uint32(xlog.XactHasOrigin), uint64(0x5000), int64(400))
	commit.Origin = 3
	set := func(node uint16, lsn pg.LSN, force bool) *xlog.Record {
		return rec(xlog.RmReplOrigin, xlog.ReplOriginSet, 0, uint64(lsn), node, force)
	}
	for _, r := range []*xlog.Record{
		commit, set(4, 0x100, false), set(4, 0x80, false), set(5, 0x100, false), set(5, 0x80, true), set(6, 1, false),
		rec(xlog.RmReplOrigin, xlog.ReplOriginDrop, 0, uint16(6)), rec(xlog.RmXact, xlog.XactAbort, 901, int64(900)),
		rec(xlog.RmXact, xlog.XactCommit, 902, int64(450)),
	} {
		if err := s.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	want := []pg.ReplOrigin{{Node: 3, RemoteLSN: 0x5000}, {Node: 4, RemoteLSN: 0x100}, {Node: 5, RemoteLSN: 0x80}}
	if got := s.SortedOrigins(); !reflect.DeepEqual(got, want) {
		t.Errorf("origins %v, want %v", got, want)
	}
	if s.LastCommit != 450 || s.MaxCommit != 500 || s.LastCommitLSN != 8096 {
		t.Errorf("last commit %v at %v, latest %v", s.LastCommit, s.LastCommitLSN, s.MaxCommit)
	}
}

// TestStateApplyGarbage feeds records cut off and mangled: an error at most.
func TestStateApplyGarbage(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		r := rec(xlog.RmgrID(rnd.IntN(24)), uint8(rnd.Uint32()), pg.TransactionID(rnd.Uint32()))
		r.MainData = make([]byte, rnd.IntN(120))
		for i := range r.MainData {
			r.MainData[i] = byte(rnd.Uint32() >> (8 * rnd.IntN(4)))
		}
		s := new(State)
		s.Apply(r)
	}
}
