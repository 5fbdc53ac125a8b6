package pg

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// Sizes and versions of catalog/pg_control.h.
const (
	ControlFileSize = 8192 // PG_CONTROL_FILE_SIZE; most of it zeros
	ControlVersion  = 1300
	controlCRCAt    = 288 // offsetof(ControlFileData, crc)
	controlDataSize = 296
)

// DBState says how the server that wrote the control file was doing.
type DBState uint32

// The states of a cluster.
const (
	DBStartup DBState = iota
	DBShutdowned
	DBShutdownedInRecovery
	DBShutdowning
	DBInCrashRecovery
	DBInArchiveRecovery
	DBInProduction
)

var dbStateNames = [...]string{
	"starting up", "shut down", "shut down in recovery", "shutting down",
	"in crash recovery", "in archive recovery", "in production",
}

// String gives the state as pg_controldata prints it.
func (s DBState) String() string {
	if int(s) < len(dbStateNames) {
		return dbStateNames[s]
	}
	return fmt.Sprintf("unrecognized status code %d", uint32(s))
}

// ControlPath is where a data directory has its pg_control.
const ControlPath = "global/pg_control"

// The values of ControlSettings.WALLevel (access/xlog.h).
const (
	WALLevelMinimal = iota
	WALLevelReplica
	WALLevelLogical
)

// ControlSettings are the settings that pg_control keeps for standbys, and that a
// PARAMETER_CHANGE record carries.
type ControlSettings struct {
	WALLevel             int32 // WALLevelMinimal to WALLevelLogical
	WALLogHints          bool
	MaxConnections       int32
	MaxWorkerProcesses   int32
	MaxWALSenders        int32
	MaxPreparedXacts     int32
	MaxLocksPerXact      int32
	TrackCommitTimestamp bool
}

// ControlFile is ControlFileData, global/pg_control, less the fields that are the same
// in every cluster that we accept.
type ControlFile struct {
	Version            *Version // whose file it is
	SystemID           uint64
	State              DBState
	Time               int64 // seconds since 1970
	CheckPoint         LSN   // where the last checkpoint record is
	CheckPointCopy     CheckPoint
	UnloggedLSN        LSN
	MinRecoveryPoint   LSN
	MinRecoveryTLI     TLI
	BackupStartPoint   LSN
	BackupEndPoint     LSN
	BackupEndRequired  bool
	Settings           ControlSettings
	SegSize            uint32
	ChecksumVersion    uint32 // 0: no data checksums
	AuthenticationSalt [32]byte
}

// The fields that depend on how PostgreSQL was compiled, all at their defaults.
var controlConstants = []struct {
	name string
	off  int
	want uint32
}{
	{"pg_control_version", 8, ControlVersion},
	{"catalog_version_no", 12, CatalogVersion},
	{"maxAlign", 204, 8},
	{"blcksz", 216, BlockSize},
	{"relseg_size", 220, RelSegBlocks},
	{"xlog_blcksz", 224, 8192},
	{"nameDataLen", 232, 64},
	{"indexMaxKeys", 236, 32},
	{"toast_max_chunk_size", 240, 1996},
	{"loblksize", 244, 2048},
}

const controlFloatFormat = 1234567.0 // FLOATFORMAT_VALUE

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC32C is pg_crc32c as the control file, WAL records, relation maps and two-phase
// files carry it.
func CRC32C(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// ParseControlFile reads pg_control. Another version or another build's file is an
// ErrVersion, a wrong checksum an ErrCorrupt.
func ParseControlFile(b []byte) (*ControlFile, error) {
	if len(b) < controlDataSize {
		return nil, fmt.Errorf("pg_control is %d bytes, want %d: %w", len(b), ControlFileSize, ErrCorrupt)
	}
	le := binary.LittleEndian
	if v := le.Uint32(b[8:]); v != ControlVersion {
		return nil, fmt.Errorf("pg_control: pg_control_version is %d, want %d: %w", v, ControlVersion, ErrVersion)
	}
	if stored, want := le.Uint32(b[controlCRCAt:]), CRC32C(b[:controlCRCAt]); stored != want {
		return nil, fmt.Errorf("pg_control: checksum is %08X, should be %08X: %w", stored, want, ErrCorrupt)
	}
	for _, c := range controlConstants {
		if v := le.Uint32(b[c.off:]); v != c.want {
			return nil, fmt.Errorf("pg_control: %s is %d, want %d: %w", c.name, v, c.want, ErrVersion)
		}
	}
	if math.Float64frombits(le.Uint64(b[208:])) != controlFloatFormat || b[248] != 1 {
		return nil, fmt.Errorf("pg_control: another machine's floating point format: %w", ErrVersion)
	}
	cp, err := ParseCheckPoint(b[40:])
	if err != nil {
		return nil, err
	}
	c := &ControlFile{
		Version:           V15, // the constants above are its
		SystemID:          le.Uint64(b),
		State:             DBState(le.Uint32(b[16:])),
		Time:              int64(le.Uint64(b[24:])),
		CheckPoint:        LSN(le.Uint64(b[32:])),
		CheckPointCopy:    cp,
		UnloggedLSN:       LSN(le.Uint64(b[128:])),
		MinRecoveryPoint:  LSN(le.Uint64(b[136:])),
		MinRecoveryTLI:    TLI(le.Uint32(b[144:])),
		BackupStartPoint:  LSN(le.Uint64(b[152:])),
		BackupEndPoint:    LSN(le.Uint64(b[160:])),
		BackupEndRequired: b[168] != 0,
		Settings:          parseControlSettings(b),
		SegSize:           le.Uint32(b[228:]),
		ChecksumVersion:   le.Uint32(b[252:]),
	}
	copy(c.AuthenticationSalt[:], b[256:controlCRCAt])
	return c, nil
}

func parseControlSettings(b []byte) ControlSettings {
	i32 := func(off int) int32 { return int32(binary.LittleEndian.Uint32(b[off:])) }
	return ControlSettings{
		WALLevel: i32(172), WALLogHints: b[176] != 0, MaxConnections: i32(180), MaxWorkerProcesses: i32(184),
		MaxWALSenders: i32(188), MaxPreparedXacts: i32(192), MaxLocksPerXact: i32(196), TrackCommitTimestamp: b[200] != 0,
	}
}

// Encode gives the file's ControlFileSize bytes, checksum included.
func (c *ControlFile) Encode() []byte {
	b := make([]byte, ControlFileSize)
	le := binary.LittleEndian
	le.PutUint64(b, c.SystemID)
	for _, k := range controlConstants {
		le.PutUint32(b[k.off:], k.want)
	}
	le.PutUint32(b[16:], uint32(c.State))
	le.PutUint64(b[24:], uint64(c.Time))
	le.PutUint64(b[32:], uint64(c.CheckPoint))
	c.CheckPointCopy.put(b[40:])
	le.PutUint64(b[128:], uint64(c.UnloggedLSN))
	le.PutUint64(b[136:], uint64(c.MinRecoveryPoint))
	le.PutUint32(b[144:], uint32(c.MinRecoveryTLI))
	le.PutUint64(b[152:], uint64(c.BackupStartPoint))
	le.PutUint64(b[160:], uint64(c.BackupEndPoint))
	b[168] = boolByte(c.BackupEndRequired)
	s := &c.Settings
	le.PutUint32(b[172:], uint32(s.WALLevel))
	b[176] = boolByte(s.WALLogHints)
	le.PutUint32(b[180:], uint32(s.MaxConnections))
	le.PutUint32(b[184:], uint32(s.MaxWorkerProcesses))
	le.PutUint32(b[188:], uint32(s.MaxWALSenders))
	le.PutUint32(b[192:], uint32(s.MaxPreparedXacts))
	le.PutUint32(b[196:], uint32(s.MaxLocksPerXact))
	b[200] = boolByte(s.TrackCommitTimestamp)
	le.PutUint64(b[208:], math.Float64bits(controlFloatFormat))
	le.PutUint32(b[228:], c.SegSize)
	b[248] = 1 // float8ByVal
	le.PutUint32(b[252:], c.ChecksumVersion)
	copy(b[256:], c.AuthenticationSalt[:])
	le.PutUint32(b[controlCRCAt:], CRC32C(b[:controlCRCAt]))
	return b
}
