package fusefs

import (
	"regexp"

	"zenith/internal/pg"
)

// place says where the private contents of a file of a working tree are.
type place uint8

const (
	inPrivate place = iota // a nameless file, gone at the end of the mount
	inWAL                  // a file of the same name in the branch's WAL directory
)

// syncRule says what fsync does.
type syncRule uint8

const (
	syncNothing syncRule = iota // WAL has the content, or nobody needs it: a crash throws the file away
	syncWAL                     // make it durable and tell the branch
	syncStore                   // store the whole file, if it changed: in the branch or, if it is kept so, among the saved files
)

// keepRule says what a file is when the branch is mounted again.
type keepRule uint8

const (
	keepNever  keepRule = iota // what the base shows
	keepClean                  // the private file, if postgres was stopped cleanly; else as above
	keepAlways                 // the private file, unless the daemon was killed
	keepSaved                  // the file as it was saved last, after any crash: see saved.go
)

// kind says how files of one kind are treated.
type kind struct {
	name    string
	guarded bool // WAL describes it: only a running postgres may change it
	direct  bool // a write may be refused: it must not wait in the kernel's cache
	place   place
	sync    syncRule
	keep    keepRule
}

// The kinds of files, by what happens to them:
//
//	kind       create    write          fsync           unlink       crash   clean stop
//	control    private   checked        nothing         private      base's  kept
//	relation   private   private block  nothing         private      base's  base's; unlogged, sequences: kept
//	fsm        private   private block  nothing         private      base's  kept
//	logged     private   private        nothing         private      base's  base's
//	segment    branch's  branch's       durable, told   hidden only  branch's WAL
//	walTemp    branch's  branch's       durable         removed      gone    gone
//	config     stored    private        stored          forgotten    as last stored
//	saved      saved     private        saved           forgotten    as last saved
//	kept       private   private        nothing         private      base's  kept
//	log        private   private        nothing         private      gone    kept; also after a crash of postgres
//	runtime    private   private        nothing         private      gone    gone
var (
	kindControl  = &kind{name: "control", guarded: true, direct: true, keep: keepClean}
	kindRelation = &kind{name: "relation", guarded: true}
	kindFSM      = &kind{name: "fsm", guarded: true, keep: keepClean}
	kindLogged   = &kind{name: "logged", guarded: true}
	kindSegment  = &kind{name: "segment", guarded: true, place: inWAL, sync: syncWAL}
	kindWALTemp  = &kind{name: "walTemp", guarded: true, place: inWAL, sync: syncWAL}
	kindConfig   = &kind{name: "config", direct: true, sync: syncStore}
	kindSaved    = &kind{name: "saved", sync: syncStore, keep: keepSaved}
	kindKept     = &kind{name: "kept", keep: keepClean}
	kindLog      = &kind{name: "log", keep: keepAlways}
	kindRuntime  = &kind{name: "runtime"}
)

// parsedKinds are the kinds of the paths that pg.ParsePath knows.
var parsedKinds = map[pg.PathKind]*kind{
	pg.PathRelation:     kindRelation,
	pg.PathSLRU:         kindRelation,
	pg.PathTempRelation: kindRuntime,
	pg.PathRelMap:       kindLogged,
	pg.PathDBVersion:    kindLogged,
	pg.PathTwoPhase:     kindLogged,
	pg.PathWALSegment:   kindSegment,
}

// namedKinds are those of all other paths; the first that matches counts.
var namedKinds = []struct {
	path *regexp.Regexp
	kind *kind
}{
	{regexp.MustCompile(`^global/pg_control$`), kindControl},
	{regexp.MustCompile(`^PG_VERSION$`), kindLogged},
	{regexp.MustCompile(`^pg_wal/xlogtemp\.\d+$`), kindWALTemp},
	{regexp.MustCompile(`(^|/)(pg_internal\.init|pgsql_tmp)`), kindRuntime},
	{regexp.MustCompile(`^(pg_subtrans|pg_notify|pg_serial|pg_snapshots|pg_stat_tmp|pg_dynshmem)/`), kindRuntime},
	{regexp.MustCompile(`^(postmaster\.(pid|opts)|current_logfiles|promote|logrotate)$`), kindRuntime},
	{regexp.MustCompile(`^(standby\.signal|recovery\.signal|backup_label|tablespace_map)`), kindRuntime},
	{regexp.MustCompile(`(^|/)(\.[^/]*|[^/]*(\.tmp|\.swp|~))$`), kindRuntime},
	{regexp.MustCompile(`^(log|pg_log)/`), kindLog},
	{regexp.MustCompile(`^pg_replslot/[^/]+/xid-[^/]*\.spill$`), kindRuntime},
	{regexp.MustCompile(`^(pg_replslot|pg_wal|pg_logical/(snapshots|mappings))/`), kindSaved},
	{regexp.MustCompile(`^(base|global|pg_tblspc|pg_stat|pg_logical)/`), kindKept},
}

// kindOf gives the kind of the file at a path of the working tree. In a scratch mount
// there is nothing to guard and nothing to keep, not even WAL.
func (t *worktree) kindOf(path string) *kind {
	if t.scratch() {
		return kindRuntime
	}
	return kindOf(t.branch.Version(), path)
}

// kindOf gives the kind of the file at a path of a data directory of PostgreSQL v.
func kindOf(v *pg.Version, path string) *kind {
	p := v.ParsePath(path)
	if k := parsedKinds[p.Kind]; k == kindRelation && p.Fork.Fork == pg.FSMFork {
		return kindFSM
	} else if k != nil {
		return k
	}
	for _, k := range namedKinds {
		if k.path.MatchString(path) {
			return k.kind
		}
	}
	return kindConfig
}
