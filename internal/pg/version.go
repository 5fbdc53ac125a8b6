package pg

import (
	"fmt"
	"strconv"
)

// Release is what tells the files of one major version from those of another: the numbers
// that stand in its WAL pages and in its control file.
type Release struct {
	Major          int
	WALMagic       uint16 // XLOG_PAGE_MAGIC: the first two bytes of each WAL page
	ControlVersion uint32 // PG_CONTROL_VERSION; 13 to 16 share one
	Catalog        uint32 // CATALOG_VERSION_NO of its final release; a beta's may be another, and is refused
}

// String gives the name by which people call the release.
func (r Release) String() string { return fmt.Sprintf("PostgreSQL %d", r.Major) }

// VersionFile is the content of PG_VERSION, in the data directory and in each database's.
func (r Release) VersionFile() []byte { return fmt.Appendf(nil, "%d\n", r.Major) }

// Version is what a major version of PostgreSQL is: everything in its files that another
// major has otherwise hangs on it. Code that meets such a thing asks the Version for it
// and never compares major numbers.
//
// There is one value for each supported major, and it never changes. So a *Version is as
// good as a number: two are the same major if the pointers are equal. Where a *Version is
// a field, it is never nil.
type Version struct {
	Release

	// WAL pages and images (access/xlog_internal.h, access/xlogrecord.h).
	OverwriteContRecord uint16 // XLP_FIRST_IS_OVERWRITE_CONTRECORD
	PageFlags           uint16 // XLP_ALL_FLAGS
	ImageBits           ImageBits

	// Bodies of WAL records.
	SLRUPageNoSize int // bytes of the number of an SLRU's page: 4 or 8
	StatsItemSize  int // sizeof(xl_xact_stats_item): 12 or 16; 0: transactions drop no statistics

	RelMapSize int // sizeof(RelMapFile): of each pg_filenode.map

	LongTwoPhaseNames bool // the names of two-phase state files have the transaction id's epoch
	LongMemberNames   bool // the names of pg_multixact/members' segments have 15 digits

	// Installations.
	ChecksumsByDefault bool   // initdb makes data checksums unless it is told not to
	OriginsSetting     string // the setting that bounds the number of replication origins

	MultiOffsetSize int // bytes of an entry of pg_multixact/offsets, and of a MultiXactOffset: 4 or 8

	control    *controlLayout // the same for all versions with one ControlVersion
	checkPoint *checkPointLayout
}

// ImageBits are the bits of bimg_info, which describes a page image in a WAL record. 0: the
// version has no such bit.
type ImageBits struct{ HasHole, Apply, PGLZ, LZ4, ZSTD uint8 }

// V15 is PostgreSQL 15.
var V15 = &Version{
	Release: Release{Major: 15, WALMagic: 0xD110, ControlVersion: 1300, Catalog: 202209061},

	OverwriteContRecord: 0x0008,
	PageFlags:           0x000F,
	ImageBits:           ImageBits{HasHole: 0x01, Apply: 0x02, PGLZ: 0x04, LZ4: 0x08, ZSTD: 0x10},

	SLRUPageNoSize: 4,
	StatsItemSize:  12,

	OriginsSetting: "max_replication_slots",

	RelMapSize:      512,
	MultiOffsetSize: 4,

	control:    &control1300,
	checkPoint: &checkPoint1300,
}

// Default is the version of a new cluster, unless another one is asked for, and of a server
// about which nothing else is known.
var Default = V15

// Versions lists the supported majors, oldest first.
var Versions = []*Version{V15}

// unsupported are releases that are known by name only, so that an error can say whose
// files it met.
var unsupported = []Release{
	{Major: 12, WALMagic: 0xD101, ControlVersion: 1201, Catalog: 201909212},
	{Major: 13, WALMagic: 0xD106, ControlVersion: 1300, Catalog: 202007201},
	{Major: 14, WALMagic: 0xD10D, ControlVersion: 1300, Catalog: 202107181},
	{Major: 16, WALMagic: 0xD113, ControlVersion: 1300, Catalog: 202307071},
	{Major: 17, WALMagic: 0xD116, ControlVersion: 1700, Catalog: 202406281},
	{Major: 18, WALMagic: 0xD118, ControlVersion: 1800, Catalog: 202506291},
	{Major: 19, WALMagic: 0xD122, ControlVersion: 1905, Catalog: 202610061}, // as of its first release candidate
}

// ByMajor gives the version with that major number; an ErrVersion if it is not supported.
func ByMajor(major int) (*Version, error) {
	for _, v := range Versions {
		if v.Major == major {
			return v, nil
		}
	}
	return nil, fmt.Errorf("PostgreSQL %d: %w", major, ErrVersion)
}

// ByStoredMajor is ByMajor for a number that zenith has stored or sent. 0 means 15: as long as
// that was the only version, no number was stored.
func ByStoredMajor(major int) (*Version, error) {
	if major == 0 {
		return V15, nil
	}
	return ByMajor(major)
}

// ParseMajor is ByMajor for a number in decimal.
func ParseMajor(text string) (*Version, error) {
	major, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL %q: %w", text, ErrVersion)
	}
	return ByMajor(major)
}

// ReleaseByMagic gives the release, supported or not, whose WAL pages begin with magic.
func ReleaseByMagic(magic uint16) (Release, bool) {
	return findRelease(func(r Release) bool { return r.WALMagic == magic })
}

func findRelease(match func(Release) bool) (Release, bool) {
	for _, v := range Versions {
		if match(v.Release) {
			return v.Release, true
		}
	}
	for _, r := range unsupported {
		if match(r) {
			return r, true
		}
	}
	return Release{}, false
}
