package repo

import (
	"time"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// CheckPoint will be pg.CheckPoint as soon as that exists.
type CheckPoint struct {
	Redo              pg.LSN
	ThisTLI, PrevTLI  pg.TLI
	FullPageWrites    bool
	NextXID           pg.FullTransactionID
	NextOID           pg.OID
	NextMulti         pg.MultiXactID
	NextMultiOffset   pg.MultiXactOffset
	OldestXID         pg.TransactionID
	OldestXIDDB       pg.OID
	OldestMulti       pg.MultiXactID
	OldestMultiDB     pg.OID
	Time              int64
	OldestCommitTsXID pg.TransactionID
	NewestCommitTsXID pg.TransactionID
	OldestActiveXID   pg.TransactionID
}

// State is what pg_control and a checkpoint record would say at one LSN, kept up to date
// record by record.
type State struct {
	LSN  pg.LSN // end of the last record applied
	Prev pg.LSN // its start: xl_prev of the record that follows

	CheckPoint CheckPoint // as a checkpoint here would have it; Redo and Time are the last one's

	LastCheckpoint pg.LSN // start of the last checkpoint record
	Shutdown       bool   // the last record is a shutdown checkpoint: it starts at Prev, ends at LSN

	// Parameters of pg_control.
	WalLevel             int32
	WalLogHints          bool
	MaxConnections       int32
	MaxWorkerProcesses   int32
	MaxWalSenders        int32
	MaxPreparedXacts     int32
	MaxLocksPerXact      int32
	TrackCommitTimestamp bool
	ChecksumVersion      uint32 // data_checksum_version: 0 if the cluster has no checksums

	LastCommit    time.Time // of the last commit or abort record; zero if none was seen
	LastCommitLSN pg.LSN    // its end

	Origins map[uint16]pg.LSN // replication origin -> remote LSN
}

// Apply brings s from before rec to after it.
func (s *State) Apply(rec *xlog.Record) error { return errStub }

// Clone copies s deeply.
func (s *State) Clone() *State { return nil }
