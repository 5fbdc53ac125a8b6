package pg

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// Sizes of catalog/pg_control.h.
const (
	ControlFileSize    = 8192 // PG_CONTROL_FILE_SIZE
	controlMaxSafeSize = 512  // PG_CONTROL_MAX_SAFE_SIZE: bounds ControlFileData; the rest of the file is zeros
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

	file [controlMaxSafeSize]byte // what ParseControlFile read; zeros if the struct was made otherwise
}

// controlLayout is where the members of a major's ControlFileData are, as byte offsets.
// The members before checkPointCopy (offset 40) lie at the same place in all majors.
type controlLayout struct {
	crc                                               int // offsetof(crc): the checksum covers all before it
	unloggedLSN, minRecoveryPoint, minRecoveryTLI     int
	backupStartPoint, backupEndPoint, backupEndNeeded int

	walLevel, walLogHints, maxConnections, maxWorkerProcesses       int
	maxWALSenders, maxPreparedXacts, maxLocksPerXact, trackCommitTs int

	floatFormat, segSize, float8ByVal, checksumVersion, salt int

	constants []controlConstant
}

// controlConstant is a member that depends on how PostgreSQL was compiled. Only the
// default is accepted.
type controlConstant struct {
	name string
	off  int
	want uint32
}

// control1300 is ControlFileData of versions 1300 and 1700: PostgreSQL 13 to 17. (The CheckPoint in it is
// not the same in both.)
var control1300 = controlLayout{
	crc:         288,
	unloggedLSN: 128, minRecoveryPoint: 136, minRecoveryTLI: 144,
	backupStartPoint: 152, backupEndPoint: 160, backupEndNeeded: 168,

	walLevel: 172, walLogHints: 176, maxConnections: 180, maxWorkerProcesses: 184,
	maxWALSenders: 188, maxPreparedXacts: 192, maxLocksPerXact: 196, trackCommitTs: 200,

	floatFormat: 208, segSize: 228, float8ByVal: 248, checksumVersion: 252, salt: 256,

	constants: []controlConstant{
		{"maxAlign", 204, 8},
		{"blcksz", 216, BlockSize},
		{"relseg_size", 220, RelSegBlocks},
		{"xlog_blcksz", 224, 8192},
		{"nameDataLen", 232, 64},
		{"indexMaxKeys", 236, 32},
		{"toast_max_chunk_size", 240, 1996},
		{"loblksize", 244, 2048},
	},
}

// control1800 is ControlFileData of version 1800: PostgreSQL 18. default_char_signedness, which no member of
// ControlFile is for, comes before the salt.
var control1800 = func() controlLayout {
	l := control1300
	l.salt, l.crc = 257, 292
	return l
}()

// control1905 is ControlFileData of version 1905: PostgreSQL 19. (data_checksum_version_init, at 264, is one of the members
// that are kept as they are.)
var control1905 = controlLayout{
	crc:         308,
	unloggedLSN: 136, minRecoveryPoint: 144, minRecoveryTLI: 152,
	backupStartPoint: 160, backupEndPoint: 168, backupEndNeeded: 176,

	walLevel: 180, walLogHints: 184, maxConnections: 188, maxWorkerProcesses: 192,
	maxWALSenders: 196, maxPreparedXacts: 200, maxLocksPerXact: 204, trackCommitTs: 208,

	floatFormat: 216, segSize: 240, float8ByVal: 260, checksumVersion: 268, salt: 273,

	constants: []controlConstant{
		{"maxAlign", 212, 8},
		{"blcksz", 224, BlockSize},
		{"relseg_size", 228, RelSegBlocks},
		{"slru_pages_per_segment", 232, SLRUPagesPerSegment},
		{"xlog_blcksz", 236, 8192},
		{"nameDataLen", 244, 64},
		{"indexMaxKeys", 248, 32},
		{"toast_max_chunk_size", 252, 1996},
		{"loblksize", 256, 2048},
	},
}

// Offsets in ControlFileData that are the same in all majors.
const (
	controlVersionAt    = 8
	controlCatalogAt    = 12
	controlCheckPointAt = 40
)

const controlFloatFormat = 1234567.0 // FLOATFORMAT_VALUE

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC32C is pg_crc32c as the control file, WAL records, relation maps and two-phase
// files carry it.
func CRC32C(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// ParseControlFile reads pg_control and tells by it which PostgreSQL the data directory is
// of. That of an unsupported major, or of one built with other sizes, is an ErrVersion, a
// wrong checksum an ErrCorrupt.
func ParseControlFile(b []byte) (*ControlFile, error) {
	v, err := controlFileVersion(b)
	if err != nil {
		return nil, fmt.Errorf("pg_control: %w", err)
	}
	c := &ControlFile{Version: v}
	copy(c.file[:], b)
	c.move(cstruct{b: b})
	return c, nil
}

// controlFileVersion says whose control file b is, and checks all that is no member of
// ControlFile.
func controlFileVersion(b []byte) (*Version, error) {
	le := binary.LittleEndian
	if len(b) < controlCheckPointAt {
		return nil, fmt.Errorf("it is %d bytes, want %d: %w", len(b), ControlFileSize, ErrCorrupt)
	}
	control, catalog := le.Uint32(b[controlVersionAt:]), le.Uint32(b[controlCatalogAt:])
	l := controlLayoutOf(control)
	if l == nil {
		return nil, fmt.Errorf("pg_control_version is %d: %w", control, unsupportedError(findRelease(func(r Release) bool { return r.ControlVersion == control })))
	}
	if len(b) < l.crc+4 {
		return nil, fmt.Errorf("it is %d bytes, want %d: %w", len(b), ControlFileSize, ErrCorrupt)
	}
	if stored, want := le.Uint32(b[l.crc:]), CRC32C(b[:l.crc]); stored != want {
		return nil, fmt.Errorf("checksum is %08X, should be %08X: %w", stored, want, ErrCorrupt)
	}
	v := versionByControl(control, catalog)
	if v == nil {
		return nil, fmt.Errorf("catalog_version_no is %d: %w", catalog, unsupportedError(findRelease(func(r Release) bool { return r.Catalog == catalog })))
	}
	return v, l.checkBuild(b)
}

// unsupportedError is the error for another major's file; ok: the major is known.
func unsupportedError(r Release, ok bool) error {
	if !ok {
		return ErrVersion
	}
	return fmt.Errorf("%v: %w", r, ErrVersion)
}

// controlLayoutOf gives the layout that all supported majors with that control file
// version share, nil if there is none.
func controlLayoutOf(control uint32) *controlLayout {
	for _, v := range Versions {
		if v.ControlVersion == control {
			return v.control
		}
	}
	return nil
}

func versionByControl(control, catalog uint32) *Version {
	for _, v := range Versions {
		if v.ControlVersion == control && v.Catalog == catalog {
			return v
		}
	}
	return nil
}

// checkBuild makes sure that the PostgreSQL was built with the usual sizes.
func (l *controlLayout) checkBuild(b []byte) error {
	le := binary.LittleEndian
	for _, c := range l.constants {
		if v := le.Uint32(b[c.off:]); v != c.want {
			return fmt.Errorf("%s is %d, want %d: %w", c.name, v, c.want, ErrVersion)
		}
	}
	if math.Float64frombits(le.Uint64(b[l.floatFormat:])) != controlFloatFormat || b[l.float8ByVal] != 1 {
		return fmt.Errorf("another machine's floating point format: %w", ErrVersion)
	}
	return nil
}

// putBuild writes what checkBuild and controlFileVersion look at, but the checksum.
func (l *controlLayout) putBuild(b []byte, r Release) {
	le := binary.LittleEndian
	le.PutUint32(b[controlVersionAt:], r.ControlVersion)
	le.PutUint32(b[controlCatalogAt:], r.Catalog)
	for _, c := range l.constants {
		le.PutUint32(b[c.off:], c.want)
	}
	le.PutUint64(b[l.floatFormat:], math.Float64bits(controlFloatFormat))
	b[l.float8ByVal] = 1
}

// move moves all members, as the file of c.Version has them.
func (c *ControlFile) move(s cstruct) {
	l := c.Version.control
	s.u64(0, &c.SystemID)
	s.u32(16, (*uint32)(&c.State))
	s.i64(24, &c.Time)
	s.lsn(32, &c.CheckPoint)
	c.CheckPointCopy.move(cstruct{b: s.b[controlCheckPointAt:], store: s.store}, c.Version)
	s.lsn(l.unloggedLSN, &c.UnloggedLSN)
	s.lsn(l.minRecoveryPoint, &c.MinRecoveryPoint)
	s.tli(l.minRecoveryTLI, &c.MinRecoveryTLI)
	s.lsn(l.backupStartPoint, &c.BackupStartPoint)
	s.lsn(l.backupEndPoint, &c.BackupEndPoint)
	s.flag(l.backupEndNeeded, &c.BackupEndRequired)
	c.Settings.move(s, l)
	s.u32(l.segSize, &c.SegSize)
	s.u32(l.checksumVersion, &c.ChecksumVersion)
	s.bytes(l.salt, c.AuthenticationSalt[:])
}

func (c *ControlSettings) move(s cstruct, l *controlLayout) {
	s.i32(l.walLevel, &c.WALLevel)
	s.flag(l.walLogHints, &c.WALLogHints)
	s.i32(l.maxConnections, &c.MaxConnections)
	s.i32(l.maxWorkerProcesses, &c.MaxWorkerProcesses)
	s.i32(l.maxWALSenders, &c.MaxWALSenders)
	s.i32(l.maxPreparedXacts, &c.MaxPreparedXacts)
	s.i32(l.maxLocksPerXact, &c.MaxLocksPerXact)
	s.flag(l.trackCommitTs, &c.TrackCommitTimestamp)
}

// Encode gives the file's ControlFileSize bytes, checksum included. Bytes of the file that
// c was read from which belong to no member of ControlFile are kept as they were.
func (c *ControlFile) Encode() []byte {
	b := make([]byte, ControlFileSize)
	copy(b, c.file[:])
	l := c.Version.control
	l.putBuild(b, c.Version.Release)
	c.move(cstruct{b: b, store: true})
	binary.LittleEndian.PutUint32(b[l.crc:], CRC32C(b[:l.crc]))
	return b
}
