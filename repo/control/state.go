// Package control is what pg_control and a checkpoint record would say at any LSN: a State, which
// Apply brings forward record by record, as recovery does.
//
// A State in bytes, little endian; a boolean is one byte:
//
//	| version 1 | LSN 8 | Prev 8 | LastCheckpoint 8 | LastCommitLSN 8 | LastCommit 8 | MaxCommit 8 |
//	| CheckPoint 88 | ChecksumVersion 4 | Shutdown 1 | WALLogHints 1 | TrackCommitTimestamp 1 | 6 settings 4 each |
//	| number of origins 4 | node 2, remote LSN 8 | ... |
//	| WALLevel 4 | LogicalDecoding 1 | NextMultiOffset 8 |
//
// CheckPoint is laid out as in PostgreSQL 15, whatever the cluster's version. The last line holds
// what that struct has no room for. It is there in version 2, which is written only if version 1
// would lose something: a state of PostgreSQL 15 is always of version 1.
package control

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"zenith/internal/pg"
)

// State is what pg_control and a checkpoint record would say at one LSN, kept up to date
// record by record by Apply.
type State struct {
	LSN  pg.LSN // end of the last record applied
	Prev pg.LSN // its start: xl_prev of the record that follows

	// CheckPoint is as a checkpoint taken here would have it. Redo, Time and
	// OldestActiveXID are the last checkpoint's.
	CheckPoint     pg.CheckPoint
	LastCheckpoint pg.LSN // start of the last checkpoint record
	Shutdown       bool   // the last record is a shutdown checkpoint: it starts at Prev

	Settings        pg.ControlSettings
	ChecksumVersion uint32 // pg_control's data_checksum_version: 0 if there are no checksums

	LastCommit    pg.TimestampTz // of the last commit record; 0 if none was seen
	LastCommitLSN pg.LSN         // that record's end
	MaxCommit     pg.TimestampTz // the latest time of any commit record seen

	Origins map[uint16]pg.LSN // replication origin -> remote LSN
}

// New makes the state of a cleanly stopped cluster from its control file. end is the end of the
// last record, the shutdown checkpoint; origins are the contents of its replorigin_checkpoint.
func New(c *pg.ControlFile, end pg.LSN, origins []pg.ReplOrigin) *State {
	s := &State{
		LSN: end, Prev: c.CheckPoint,
		CheckPoint: c.CheckPointCopy, LastCheckpoint: c.CheckPoint, Shutdown: true,
		Settings: c.Settings, ChecksumVersion: c.ChecksumVersion,
	}
	for _, o := range origins {
		s.setOrigin(o.Node, o.RemoteLSN)
	}
	return s
}

// Clone copies s deeply.
func (s *State) Clone() *State {
	c := *s
	c.Origins = maps.Clone(s.Origins)
	return &c
}

// SortedOrigins lists the replication origins by number.
func (s *State) SortedOrigins() []pg.ReplOrigin {
	var list []pg.ReplOrigin
	for _, node := range slices.Sorted(maps.Keys(s.Origins)) {
		list = append(list, pg.ReplOrigin{Node: node, RemoteLSN: s.Origins[node]})
	}
	return list
}

// KnownSince is the time of the last commit, or of the last checkpoint if no commit was seen. The
// state cannot tell what was committed earlier.
func (s *State) KnownSince() time.Time {
	if s.LastCommitLSN != 0 {
		return s.LastCommit.Time()
	}
	return time.Unix(s.CheckPoint.Time, 0)
}

// CommittedAfter reports whether any commit that was seen has a time after when.
func (s *State) CommittedAfter(when time.Time) bool {
	return s.LastCommitLSN != 0 && s.MaxCommit.Time().After(when)
}

// The versions of an encoded state.
const (
	stateVersion     = 1
	stateVersionWide = 2
)

// stateCheckPoint is the PostgreSQL as whose struct an encoded state has its checkpoint.
var stateCheckPoint = pg.V15

// wide reports whether the state needs stateVersionWide.
func (s *State) wide() bool {
	c := &s.CheckPoint
	return c.WALLevel != 0 || c.LogicalDecoding || uint64(c.NextMultiOffset)>>32 != 0
}

// Encode gives the state in bytes, as the package comment draws them.
func (s *State) Encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, 192+10*len(s.Origins))
	version := byte(stateVersion)
	if s.wide() {
		version = stateVersionWide
	}
	b = append(b, version)
	for _, v := range [...]pg.LSN{s.LSN, s.Prev, s.LastCheckpoint, s.LastCommitLSN} {
		b = le.AppendUint64(b, uint64(v))
	}
	b = le.AppendUint64(b, uint64(s.LastCommit))
	b = le.AppendUint64(b, uint64(s.MaxCommit))
	b = stateCheckPoint.AppendCheckPoint(b, &s.CheckPoint)
	b = le.AppendUint32(b, s.ChecksumVersion)
	for _, v := range [...]bool{s.Shutdown, s.Settings.WALLogHints, s.Settings.TrackCommitTimestamp} {
		b = appendBool(b, v)
	}
	for _, v := range s.numbers() {
		b = le.AppendUint32(b, uint32(*v))
	}
	b = le.AppendUint32(b, uint32(len(s.Origins)))
	for _, o := range s.SortedOrigins() {
		b = le.AppendUint16(b, o.Node)
		b = le.AppendUint64(b, uint64(o.RemoteLSN))
	}
	if version == stateVersionWide {
		b = le.AppendUint32(b, uint32(s.CheckPoint.WALLevel))
		b = appendBool(b, s.CheckPoint.LogicalDecoding)
		b = le.AppendUint64(b, uint64(s.CheckPoint.NextMultiOffset))
	}
	return b
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// numbers gives the six numeric settings in the order in which they are encoded.
func (s *State) numbers() [6]*int32 {
	c := &s.Settings
	return [...]*int32{&c.WALLevel, &c.MaxConnections, &c.MaxWorkerProcesses, &c.MaxWALSenders, &c.MaxPreparedXacts, &c.MaxLocksPerXact}
}

// Decode undoes Encode; ErrCorrupt of package pg if b is not what Encode made.
func Decode(b []byte) (*State, error) {
	d := fixed{b: b}
	version := d.u8()
	if version != stateVersion && version != stateVersionWide {
		return nil, fmt.Errorf("state of version %d: %w", version, pg.ErrCorrupt)
	}
	s := new(State)
	for _, v := range [...]*pg.LSN{&s.LSN, &s.Prev, &s.LastCheckpoint, &s.LastCommitLSN} {
		*v = pg.LSN(d.u64())
	}
	s.LastCommit, s.MaxCommit = pg.TimestampTz(d.u64()), pg.TimestampTz(d.u64())
	if body := d.take(stateCheckPoint.CheckPointSize()); body != nil {
		var err error
		if s.CheckPoint, err = stateCheckPoint.ParseCheckPoint(body); err != nil {
			return nil, err
		}
	}
	s.ChecksumVersion = d.u32()
	for _, v := range [...]*bool{&s.Shutdown, &s.Settings.WALLogHints, &s.Settings.TrackCommitTimestamp} {
		*v = d.u8() != 0
	}
	for _, v := range s.numbers() {
		*v = int32(d.u32())
	}
	for range min(d.u32(), 1<<16) {
		node := d.u16()
		s.setOrigin(node, pg.LSN(d.u64()))
	}
	if version == stateVersionWide {
		s.CheckPoint.WALLevel = int32(d.u32())
		s.CheckPoint.LogicalDecoding = d.u8() != 0
		s.CheckPoint.NextMultiOffset = pg.MultiXactOffset(d.u64())
	}
	if d.short {
		return nil, fmt.Errorf("state of %d bytes: %w", len(b), pg.ErrCorrupt)
	}
	return s, nil
}

func (s *State) setOrigin(node uint16, lsn pg.LSN) {
	if s.Origins == nil {
		s.Origins = make(map[uint16]pg.LSN)
	}
	s.Origins[node] = lsn
}

// fixed takes numbers from the front of b. When bytes are missing it gives zeros and sets short.
type fixed struct {
	b     []byte
	short bool
}

func (f *fixed) take(n int) []byte {
	if len(f.b) < n {
		f.short, f.b = true, nil
		return nil
	}
	v := f.b[:n]
	f.b = f.b[n:]
	return v
}

func (f *fixed) uint(n int) (v uint64) {
	for i, c := range f.take(n) {
		v |= uint64(c) << (8 * i)
	}
	return v
}

func (f *fixed) u8() uint8   { return uint8(f.uint(1)) }
func (f *fixed) u16() uint16 { return uint16(f.uint(2)) }
func (f *fixed) u32() uint32 { return uint32(f.uint(4)) }
func (f *fixed) u64() uint64 { return f.uint(8) }
