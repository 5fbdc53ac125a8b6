package pg

import (
	"fmt"
	"strconv"
	"strings"
)

// The version directory of tablespaces (common/relpath.h) and the catalog version in it.
const (
	CatalogVersion       = 202209061
	MajorVersion         = "15"
	TablespaceVersionDir = "PG_15_202209061"
)

// DatabasePath is GetDatabasePath: the directory of a database in a tablespace, below
// the data directory.
func DatabasePath(spc, db OID) string {
	switch spc {
	case GlobalTablespace:
		return "global"
	case DefaultTablespace:
		return "base/" + db.String()
	default:
		return "pg_tblspc/" + spc.String() + "/" + TablespaceVersionDir + "/" + db.String()
	}
}

// String gives the number.
func (o OID) String() string { return strconv.FormatUint(uint64(o), 10) }

// RelPath is relpathperm with the segment's number: the path of one file of a
// relation fork or, for an SLRU, of its segment (segno 0).
func RelPath(r RelFork, segno uint32) string {
	if r.IsSLRU() {
		return fmt.Sprintf("%s/%04X", SLRU(r.DBOID).Dir(), uint32(r.RelNumber))
	}
	path := DatabasePath(r.SpcOID, r.DBOID) + "/" + r.RelNumber.String()
	if r.Fork != MainFork {
		path += "_" + r.Fork.String()
	}
	if segno > 0 {
		path += "." + strconv.FormatUint(uint64(segno), 10)
	}
	return path
}

// RelMapPath is the path of a relation map; that of the shared catalogs for GlobalTablespace.
func RelMapPath(spc, db OID) string { return DatabasePath(spc, db) + "/pg_filenode.map" }

// TwoPhasePath is the path of a prepared transaction's state file.
func TwoPhasePath(xid TransactionID) string { return fmt.Sprintf("pg_twophase/%08X", uint32(xid)) }

// PathKind says what a path of a data directory names.
type PathKind uint8

// The kinds that ParsePath tells.
const (
	PathOther        PathKind = iota
	PathRelation              // a segment of a relation fork: Fork, Segment
	PathSLRU                  // a segment of an SLRU that is kept: Fork
	PathTempRelation          // a temporary relation's file: Fork.SpcOID and DBOID
	PathRelMap                // pg_filenode.map: Fork.SpcOID and DBOID
	PathDatabase              // a database's directory, or global: Fork.SpcOID and DBOID
	PathDBVersion             // PG_VERSION in a database's directory: Fork.SpcOID and DBOID
	PathTwoPhase              // pg_twophase/XXXXXXXX: XID
	PathWALSegment            // pg_wal/<24 hex digits>
)

// Path is what ParsePath found.
type Path struct {
	Kind    PathKind
	Fork    RelFork
	Segment uint32
	XID     TransactionID
}

// ParsePath says what a path below the data directory names. A name that PostgreSQL
// would not give a file of that kind (leading zeros, a segment 0) is PathOther. It
// judges the name only, not whether such a file exists.
func ParsePath(path string) Path {
	if dir, name, ok := cutLast(path); ok {
		for _, s := range SLRUs {
			if dir == s.Dir() {
				return parseSLRUSegment(s, name)
			}
		}
		switch dir {
		case "pg_twophase":
			if xid, err := parseHex32(name); err == nil && TwoPhasePath(TransactionID(xid)) == path {
				return Path{Kind: PathTwoPhase, XID: TransactionID(xid)}
			}
			return Path{}
		case "pg_wal":
			if len(name) == 24 && strings.Trim(name, "0123456789ABCDEF") == "" {
				return Path{Kind: PathWALSegment}
			}
			return Path{}
		}
		if spc, db, ok := parseDatabasePath(dir); ok {
			return parseDatabaseFile(spc, db, name)
		}
	}
	if spc, db, ok := parseDatabasePath(path); ok {
		return Path{Kind: PathDatabase, Fork: inDatabase(spc, db)}
	}
	return Path{}
}

func cutLast(path string) (dir, name string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

func inDatabase(spc, db OID) RelFork {
	return RelFork{RelFileLocator: RelFileLocator{SpcOID: spc, DBOID: db}}
}

func parseSLRUSegment(s SLRU, name string) Path {
	n, err := parseHex32(name)
	fork := s.Segment(n)
	if err != nil || !strings.HasSuffix(RelPath(fork, 0), "/"+name) {
		return Path{}
	}
	return Path{Kind: PathSLRU, Fork: fork}
}

// parseDatabasePath reads the directories that DatabasePath gives.
func parseDatabasePath(path string) (spc, db OID, ok bool) {
	if path == "global" {
		return GlobalTablespace, 0, true
	}
	if name, found := strings.CutPrefix(path, "base/"); found {
		db, ok = parseOID(name)
		return DefaultTablespace, db, ok
	}
	rest, found := strings.CutPrefix(path, "pg_tblspc/")
	if !found {
		return 0, 0, false
	}
	spcName, dbName, found := strings.Cut(rest, "/"+TablespaceVersionDir+"/")
	if !found {
		return 0, 0, false
	}
	spc, okSpc := parseOID(spcName)
	db, okDB := parseOID(dbName)
	return spc, db, okSpc && okDB && spc != DefaultTablespace && spc != GlobalTablespace
}

// parseOID reads a number as PostgreSQL names files: no sign, no leading zero, not 0.
func parseOID(s string) (OID, bool) {
	if s == "" || s[0] < '1' || s[0] > '9' {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 10, 32)
	return OID(v), err == nil
}

// parseDatabaseFile names what lies in a database's directory.
func parseDatabaseFile(spc, db OID, name string) Path {
	p := Path{Fork: inDatabase(spc, db)}
	switch {
	case name == "pg_filenode.map":
		p.Kind = PathRelMap
	case name == "PG_VERSION" && spc != GlobalTablespace:
		p.Kind = PathDBVersion
	case isTempRelation(name):
		p.Kind = PathTempRelation
	default:
		return parseRelationFile(p, name)
	}
	return p
}

// parseRelationFile is parse_filename_for_nontemp_relation: number[_fork][.segment].
func parseRelationFile(p Path, name string) Path {
	rest, seg, hasSeg := strings.Cut(name, ".")
	num, forkName, hasFork := strings.Cut(rest, "_")
	rel, ok := parseOID(num)
	if !ok {
		return Path{}
	}
	if hasSeg {
		n, ok := parseOID(seg)
		if !ok {
			return Path{}
		}
		p.Segment = uint32(n)
	}
	if hasFork {
		if p.Fork.Fork = parseFork(forkName); p.Fork.Fork == MainFork {
			return Path{}
		}
	}
	p.Kind, p.Fork.RelNumber = PathRelation, rel
	return p
}

// parseFork gives the fork with that name, MainFork for none other.
func parseFork(name string) ForkNumber {
	for f := FSMFork; f <= MaxFork; f++ {
		if forkNames[f] == name {
			return f
		}
	}
	return MainFork
}

// isTempRelation is looks_like_temp_rel_name: tBACKEND_NUMBER[_fork][.segment].
func isTempRelation(name string) bool {
	rest, found := strings.CutPrefix(name, "t")
	backend, rel, cut := strings.Cut(rest, "_")
	if !found || !cut || backend == "" || strings.Trim(backend, "0123456789") != "" {
		return false
	}
	return parseRelationFile(Path{}, rel).Kind == PathRelation
}
