package pg

import (
	"fmt"
	"strconv"
	"strings"
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

	// ConflictCatalogRel: a record that removes rows, index entries or pages which a query on a
	// standby may still need says whether the relation is a catalog (isCatalogRel), because logical
	// decoding on the standby reads catalogs.
	ConflictCatalogRel bool

	// InplaceInvals: a record of an in-place update carries the invalidation messages of its change.
	InplaceInvals bool

	// PruneSetsVM: a record of pruning may set bits of the visibility map, and there are no records of that alone.
	PruneSetsVM bool

	RelMapSize int         // sizeof(RelMapFile): of each pg_filenode.map
	Class      ClassLayout // of rows of pg_class

	LongTwoPhaseNames bool // the names of two-phase state files have the transaction id's epoch
	LongMemberNames   bool // the names of pg_multixact/members' segments have 15 digits

	// Installations.
	ChecksumsByDefault bool   // initdb makes data checksums unless it is told not to
	OldBaseBackup      bool   // a server's BASE_BACKUP has options without parentheses, and a stream for each archive
	SummarizesWAL      bool   // a server may summarize its WAL, for incremental backups: from the start of the oldest segment in pg_wal on
	OriginsSetting     string // the setting that bounds the number of replication origins

	MultiOffsetSize int // bytes of an entry of pg_multixact/offsets, and of a MultiXactOffset: 4 or 8

	control    *controlLayout // the same for all versions with one ControlVersion
	checkPoint *checkPointLayout
}

// ImageBits are the bits of bimg_info, which describes a page image in a WAL record. 0: the
// version has no such bit.
type ImageBits struct{ HasHole, Apply, PGLZ, LZ4, ZSTD uint8 }

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

// PerVersion has a value for each supported major, at the major's number. A package that has a table
// of its own for each version keeps them in one, and finds them there without a map.
type PerVersion[T any] [lastMajor + 1]T

// lastMajor is the newest supported major.
const lastMajor = 19

// Of gives v's value.
func (p *PerVersion[T]) Of(v *Version) T { return p[v.Major] }

// ParseRelease is ByMajor for what a server or a program says its release is: "17.12 (Debian 17.12-1)", "19rc1".
func ParseRelease(text string) (*Version, error) {
	major := text
	if i := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		major = text[:i]
	}
	return ParseMajor(major)
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

// ClassLayout says where columns of pg_class lie that do not lie at the same place in all versions.
type ClassLayout struct{ Toast, Kind int } // reltoastrelid, relkind
