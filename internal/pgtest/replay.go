package pgtest

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Replay does what Recover does at many points of one WAL, in ascending order, for the price of one
// recovery: each recovery goes on where the one before has ended.
//
// A recovery that has ended leaves the state as of its point, and WAL of its own behind that point. To puts
// the real WAL back. It also writes a checkpoint record, far behind all WAL, whose redo point is where the
// last recovery ended. To the server it looks as if it had crashed right after that checkpoint, with every
// page written.
//
// From PostgreSQL 17 on, WAL must have a record at the redo point of such a checkpoint that says so, and there is none
// at most points. So there each recovery begins with base again.
type Replay struct {
	srv  *Server
	base *Server
	wal  WALDir
	at   pg.LSN // the point of the state on disk; 0 if it is that of base
}

// goesOn lists the major versions whose recovery goes on from any point.
var goesOn = map[int]bool{14: true, 15: true, 16: true}

// NewReplay begins with a copy of base, a cleanly stopped data directory.
func NewReplay(tb testing.TB, base *Server, wal WALDir) *Replay {
	tb.Helper()
	r := &Replay{base: base, wal: wal}
	r.begin(tb)
	return r
}

// begin puts a copy of base in place of what is there.
func (r *Replay) begin(tb testing.TB) {
	tb.Helper()
	if r.srv != nil {
		r.srv.Remove(tb)
	}
	r.srv, r.at = r.base.Copy(tb), 0
	r.srv.Configure(tb, recoverConfig...)
}

// To recovers the data directory up to the record boundary at, which must be behind that of the last call. The
// caller must not change what To returns, and may use it until the next call. See Recover for which files can
// be compared.
func (r *Replay) To(tb testing.TB, at pg.LSN) *Server {
	tb.Helper()
	if at <= r.at {
		tb.Fatalf("replay up to %v is at %v already", at, r.at)
	}
	if r.at != 0 && !goesOn[r.wal.Version.Major] {
		r.begin(tb)
	}
	if r.at == 0 {
		r.srv.replaceWAL(tb, r.wal, at)
		r.srv.needsRecovery(tb)
	} else {
		r.resume(tb, at)
	}
	if err := os.RemoveAll(r.srv.logPath()); err != nil {
		tb.Fatal(err)
	}
	r.srv.Start(tb)
	r.srv.Stop(tb, Fast)
	if log := r.srv.Log(tb); !strings.Contains(log, "redo done") && !strings.Contains(log, "redo is not required") {
		tb.Fatalf("the server did not recover up to %v:\n%s", at, log)
	}
	r.at = at
	return r.srv
}

// resume makes the next start of the server replay the WAL between r.at and at.
func (r *Replay) resume(tb testing.TB, at pg.LSN) {
	tb.Helper()
	own, err := filepath.Glob(filepath.Join(r.srv.Dir, "pg_wal", "0*"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, path := range own {
		if err := os.Remove(path); err != nil {
			tb.Fatal(err)
		}
	}
	r.srv.putWAL(tb, r.wal, r.at, at)
	c := r.srv.Control(tb)
	c.State, c.CheckPoint = pg.DBInProduction, r.farCheckpoint(tb, at, c)
	if err := os.WriteFile(r.srv.controlPath(), c.Encode(), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// farCheckpoint writes the record of an online checkpoint into a segment behind at that no WAL reaches, and
// gives its LSN. The record has the counters (next xid, ...) of c.
func (r *Replay) farCheckpoint(tb testing.TB, at pg.LSN, c *pg.ControlFile) pg.LSN {
	tb.Helper()
	size := pg.LSN(r.wal.SegSize)
	far := (at/size + 8) * size
	cp := c.CheckPointCopy
	patches, _ := xlog.ShutdownCheckpoint(far, at, &cp, xlog.Config{Version: c.Version, SegSize: r.wal.SegSize, SysID: c.SystemID})
	segment := make([]byte, size)
	copy(segment, patches[0].Bytes)
	raw := segment[xlog.LongPageHeaderSize:]
	raw = raw[:binary.LittleEndian.Uint32(raw)]
	raw[16] = xlog.XLOGCheckpointOnline
	c.CheckPointCopy.Redo = xlog.RecordStart(r.at, r.wal.SegSize)
	binary.LittleEndian.PutUint64(raw[xlog.RecordHeaderSize+2:], uint64(c.CheckPointCopy.Redo))
	binary.LittleEndian.PutUint32(raw[20:], xlog.RecordCRC(raw))
	r.srv.writeSegment(tb, xlog.SegmentName(cp.ThisTLI, far, r.wal.SegSize), segment)
	return xlog.RecordStart(far, r.wal.SegSize)
}
