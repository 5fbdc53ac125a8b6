package pgtest

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"zenith/internal/pg"
)

// Control is what tests want to know of pg_control.
type Control struct {
	SysID      uint64
	CheckPoint pg.LSN // start of the last checkpoint's record
	Redo       pg.LSN // where that checkpoint began: the same, if it was a shutdown's
	TLI        pg.TLI
	SegSize    int
	Checksums  bool
}

// Where the fields are in ControlFileData, PostgreSQL 15.
const (
	controlState      = 16
	controlCheckPoint = 32
	controlRedo       = 40
	controlTLI        = 48
	controlSegSize    = 228
	controlChecksums  = 252
	controlCRC        = 288

	stateInProduction = 6 // DB_IN_PRODUCTION
)

func (s *Server) controlPath() string { return filepath.Join(s.Dir, "global", "pg_control") }

// Control reads the stopped or running server's pg_control.
func (s *Server) Control(tb testing.TB) Control {
	tb.Helper()
	b := s.controlBytes(tb)
	return Control{
		SysID:      binary.LittleEndian.Uint64(b),
		CheckPoint: pg.LSN(binary.LittleEndian.Uint64(b[controlCheckPoint:])),
		Redo:       pg.LSN(binary.LittleEndian.Uint64(b[controlRedo:])),
		TLI:        pg.TLI(binary.LittleEndian.Uint32(b[controlTLI:])),
		SegSize:    int(binary.LittleEndian.Uint32(b[controlSegSize:])),
		Checksums:  binary.LittleEndian.Uint32(b[controlChecksums:]) != 0,
	}
}

func (s *Server) controlBytes(tb testing.TB) []byte {
	tb.Helper()
	b, err := os.ReadFile(s.controlPath())
	if err != nil {
		tb.Fatal(err)
	}
	if len(b) < controlCRC+4 {
		tb.Fatalf("%s has %d bytes", s.controlPath(), len(b))
	}
	return b
}

// needsRecovery makes a cleanly stopped data directory look crashed, so that the next
// start replays the WAL behind its last checkpoint.
func (s *Server) needsRecovery(tb testing.TB) {
	tb.Helper()
	b := s.controlBytes(tb)
	binary.LittleEndian.PutUint32(b[controlState:], stateInProduction)
	crc := crc32.Checksum(b[:controlCRC], crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(b[controlCRC:], crc)
	if err := os.WriteFile(s.controlPath(), b, 0o600); err != nil {
		tb.Fatal(err)
	}
}
