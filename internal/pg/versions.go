package pg

// V14 is PostgreSQL 14. Statistics are not part of its transactions, and page images have other bits.
var V14 = &Version{
	Release: Release{Major: 14, WALMagic: 0xD10D, ControlVersion: 1300, Catalog: 202107181},

	OverwriteContRecord: 0x0008,
	PageFlags:           0x000F,
	ImageBits:           ImageBits{HasHole: 0x01, PGLZ: 0x02, Apply: 0x04},

	SLRUPageNoSize: 4,
	StatsItemSize:  0,

	OriginsSetting: "max_replication_slots",
	OldBaseBackup:  true,

	RelMapSize:      512,
	Class:           ClassLayout{Toast: 108, Kind: 115},
	MultiOffsetSize: 4,

	control:    &control1300,
	checkPoint: &checkPoint1300,
}

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
	Class:           ClassLayout{Toast: 108, Kind: 115},
	MultiOffsetSize: 4,

	control:    &control1300,
	checkPoint: &checkPoint1300,
}

// V16 is PostgreSQL 16.
var V16 = &Version{
	Release: Release{Major: 16, WALMagic: 0xD113, ControlVersion: 1300, Catalog: 202307071},

	OverwriteContRecord: 0x0008,
	PageFlags:           0x000F,
	ImageBits:           ImageBits{HasHole: 0x01, Apply: 0x02, PGLZ: 0x04, LZ4: 0x08, ZSTD: 0x10},

	SLRUPageNoSize:     4,
	StatsItemSize:      12,
	ConflictCatalogRel: true,

	OriginsSetting: "max_replication_slots",

	RelMapSize:      524,
	Class:           ClassLayout{Toast: 108, Kind: 115},
	MultiOffsetSize: 4,

	control:    &control1300,
	checkPoint: &checkPoint1300,
}

// V17 is PostgreSQL 17.
var V17 = &Version{
	Release: Release{Major: 17, WALMagic: 0xD116, ControlVersion: 1700, Catalog: 202406281},

	OverwriteContRecord: 0x0008,
	PageFlags:           0x000F,
	ImageBits:           ImageBits{HasHole: 0x01, Apply: 0x02, PGLZ: 0x04, LZ4: 0x08, ZSTD: 0x10},

	SLRUPageNoSize:     8,
	StatsItemSize:      12,
	ConflictCatalogRel: true,

	SummarizesWAL:  true,
	OriginsSetting: "max_replication_slots",

	RelMapSize:        524,
	Class:             ClassLayout{Toast: 108, Kind: 115},
	LongTwoPhaseNames: true,
	MultiOffsetSize:   4,

	control:    &control1300,
	checkPoint: &checkPoint1700,
}

// V18 is PostgreSQL 18.
var V18 = &Version{
	Release: Release{Major: 18, WALMagic: 0xD118, ControlVersion: 1800, Catalog: 202506291},

	OverwriteContRecord: 0x0008,
	PageFlags:           0x000F,
	ImageBits:           ImageBits{HasHole: 0x01, Apply: 0x02, PGLZ: 0x04, LZ4: 0x08, ZSTD: 0x10},

	SLRUPageNoSize:     8,
	StatsItemSize:      16,
	ConflictCatalogRel: true,
	InplaceInvals:      true,

	ChecksumsByDefault: true,
	SummarizesWAL:      true,
	OriginsSetting:     "max_active_replication_origins",

	RelMapSize:        524,
	Class:             ClassLayout{Toast: 112, Kind: 119},
	LongTwoPhaseNames: true,
	MultiOffsetSize:   4,

	control:    &control1800,
	checkPoint: &checkPoint1700,
}

// V19 is PostgreSQL 19 as of its first release candidate. The catalog version of the release itself may be another one:
// then its data directories are refused until it stands here.
var V19 = &Version{
	Release: Release{Major: 19, WALMagic: 0xD122, ControlVersion: 1905, Catalog: 202610061},

	OverwriteContRecord: 0x0004,
	PageFlags:           0x0007,
	ImageBits:           ImageBits{HasHole: 0x01, Apply: 0x02, PGLZ: 0x04, LZ4: 0x08, ZSTD: 0x10},

	SLRUPageNoSize:     8,
	StatsItemSize:      16,
	ConflictCatalogRel: true,
	InplaceInvals:      true,
	PruneSetsVM:        true,

	ChecksumsByDefault: true,
	SummarizesWAL:      true,
	OriginsSetting:     "max_active_replication_origins",

	RelMapSize:        524,
	Class:             ClassLayout{Toast: 112, Kind: 119},
	LongTwoPhaseNames: true,
	LongMemberNames:   true,
	MultiOffsetSize:   8,

	control:    &control1905,
	checkPoint: &checkPoint1905,
}

// Default is the version of a new cluster, unless another one is asked for, and of a server
// about which nothing else is known.
var Default = V15

// Versions lists the supported majors, oldest first.
var Versions = []*Version{V14, V15, V16, V17, V18, V19}

// unsupported are releases that are known by name only, so that an error can say whose
// files it met.
var unsupported = []Release{
	{Major: 12, WALMagic: 0xD101, ControlVersion: 1201, Catalog: 201909212},
	{Major: 13, WALMagic: 0xD106, ControlVersion: 1300, Catalog: 202007201},
}
