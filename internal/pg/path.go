package pg

import (
	"fmt"
	"strconv"
	"strings"
)

// TablespaceDir is TABLESPACE_VERSION_DIRECTORY: the directory, in that of a tablespace,
// which has the databases of this version.
func (v *Version) TablespaceDir() string {
	return "PG_" + strconv.Itoa(v.Major) + "_" + strconv.FormatUint(uint64(v.Catalog), 10)
}

// tablespaceLinks is the directory with a link for each tablespace.
const tablespaceLinks = "pg_tblspc"

// TablespacePath is the path of a tablespace's link, below the data directory. It is the same in
// all versions.
func TablespacePath(spc OID) string { return tablespaceLinks + "/" + spc.String() }

// ParseTablespacePath reads what TablespacePath gives. It is false for other paths, also for those
// of the tablespaces that have no link: the default one and the global one.
func ParseTablespacePath(path string) (OID, bool) {
	name, found := strings.CutPrefix(path, tablespaceLinks+"/")
	spc, ok := parseOID(name)
	if !found || !ok || spc == DefaultTablespace || spc == GlobalTablespace {
		return 0, false
	}
	return spc, true
}

// DatabasePath is GetDatabasePath: the directory of a database in a tablespace, below
// the data directory.
func (v *Version) DatabasePath(spc, db OID) string {
	switch spc {
	case GlobalTablespace:
		return "global"
	case DefaultTablespace:
		return "base/" + db.String()
	default:
		return TablespacePath(spc) + "/" + v.TablespaceDir() + "/" + db.String()
	}
}

// String gives the number.
func (o OID) String() string { return strconv.FormatUint(uint64(o), 10) }

// RelPath is relpathperm with the segment's number: the path of one file of a
// relation fork or, for an SLRU, of its segment (segno 0).
func (v *Version) RelPath(r RelFork, segno uint32) string {
	if r.IsSLRU() {
		slru := SLRU(r.DBOID)
		return fmt.Sprintf("%s/%0*X", slru.Dir(), v.slruDigits(slru), uint32(r.RelNumber))
	}
	path := v.DatabasePath(r.SpcOID, r.DBOID) + "/" + r.RelNumber.String()
	if r.Fork != MainFork {
		path += "_" + r.Fork.String()
	}
	if segno > 0 {
		path += "." + strconv.FormatUint(uint64(segno), 10)
	}
	return path
}

// RelMapPath is the path of a relation map; that of the shared catalogs for GlobalTablespace.
func (v *Version) RelMapPath(spc, db OID) string { return v.DatabasePath(spc, db) + "/pg_filenode.map" }

// slruDigits is how many hex digits an SLRU's segment names have at least (SlruFileName).
func (v *Version) slruDigits(s SLRU) int {
	if v.LongMemberNames && s == SLRUMultiMembers {
		return 15
	}
	return 4
}

// TwoPhasePath is the path of a prepared transaction's state file.
func (v *Version) TwoPhasePath(xid FullTransactionID) string {
	if v.LongTwoPhaseNames {
		return fmt.Sprintf("pg_twophase/%016X", uint64(xid))
	}
	return fmt.Sprintf("pg_twophase/%08X", uint32(xid))
}

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
	PathTwoPhase              // a prepared transaction's state file
	PathWALSegment            // pg_wal/<24 hex digits>
)

// Path is what ParsePath found.
type Path struct {
	Kind    PathKind
	Fork    RelFork
	Segment uint32
}

// ParsePath says what a path below the data directory names. A name that PostgreSQL
// would not give a file of that kind (leading zeros, a segment 0) is PathOther. It
// judges the name only, not whether such a file exists.
func (v *Version) ParsePath(path string) Path {
	if dir, name, ok := cutLast(path); ok {
		for _, s := range SLRUs {
			if dir == s.Dir() {
				return v.parseSLRUSegment(s, name)
			}
		}
		switch dir {
		case "pg_twophase":
			if len(path) == len(v.TwoPhasePath(0)) && isHex(name) {
				return Path{Kind: PathTwoPhase}
			}
			return Path{}
		case "pg_wal":
			if IsWALSegmentName(name) {
				return Path{Kind: PathWALSegment}
			}
			return Path{}
		}
		if spc, db, ok := v.parseDatabasePath(dir); ok {
			return parseDatabaseFile(spc, db, name)
		}
	}
	if spc, db, ok := v.parseDatabasePath(path); ok {
		return Path{Kind: PathDatabase, Fork: inDatabase(spc, db)}
	}
	return Path{}
}

// IsWALSegmentName tells the name of a complete WAL segment from those of the other files in
// pg_wal. It is the same in all versions.
func IsWALSegmentName(name string) bool { return len(name) == 24 && isHex(name) }

// isHex reports whether name has upper-case hex digits only.
func isHex(name string) bool { return strings.Trim(name, "0123456789ABCDEF") == "" }

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

func (v *Version) parseSLRUSegment(s SLRU, name string) Path {
	n, err := strconv.ParseUint(name, 16, 32)
	fork := s.Segment(uint32(n))
	if err != nil || !strings.HasSuffix(v.RelPath(fork, 0), "/"+name) {
		return Path{}
	}
	return Path{Kind: PathSLRU, Fork: fork}
}

// parseDatabasePath reads the directories that DatabasePath gives.
func (v *Version) parseDatabasePath(path string) (spc, db OID, ok bool) {
	if path == "global" {
		return GlobalTablespace, 0, true
	}
	if name, found := strings.CutPrefix(path, "base/"); found {
		db, ok = parseOID(name)
		return DefaultTablespace, db, ok
	}
	link, name, found := strings.Cut(path, "/"+v.TablespaceDir()+"/")
	if !found {
		return 0, 0, false
	}
	spc, okSpc := ParseTablespacePath(link)
	db, okDB := parseOID(name)
	return spc, db, okSpc && okDB
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
