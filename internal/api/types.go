package api

import (
	"strconv"
	"strings"
	"time"

	"zenith/internal/pg"
)

// The types that a reply's rows are of have json tags. They name the columns of the SQL surface,
// too (internal/pageserver); a pointer is what may be NULL, or null.

// StatusRow is one line of `status`.
type StatusRow struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// GatewayRow is the name of the row with the HOST:PORT of the gateway, "" if there is none.
const GatewayRow = "gateway"

// statusCounts are the names of the rows whose values are whole numbers, with the unit in the name if they are not
// numbers of things.
var statusCounts = map[string]bool{
	"pid": true, "uptime_seconds": true, "tenants": true, "tenants_open": true, "branches": true, "mounts": true,
	"postgres_running": true, "postgres_wal_through_mount": true,
	"mounts_errors": true, "receivers": true, "receivers_lag_bytes": true, "receivers_lag_seconds": true,
	"store_bytes": true, "wal_bytes": true, "disk_free_bytes": true, "disk_size_bytes": true,
}

// Count is the value of a row that is a whole number; ok is false for the others.
func (r StatusRow) Count() (n int64, ok bool) {
	n, err := strconv.ParseInt(r.Value, 10, 64)
	return n, err == nil && statusCounts[r.Name]
}

// SystemID is the answer to IDENTIFY_SYSTEM.
type SystemID struct {
	SysID    uint64  `json:"systemid"` // of the PostgreSQL cluster
	TLI      pg.TLI  `json:"timeline"`
	XLogPos  pg.LSN  `json:"xlogpos"` // the branch's head
	Database *string `json:"dbname"`  // nil: the page server has none
}

// TenantInfo describes a tenant that was just made.
type TenantInfo struct {
	ID         string
	TimelineID string // of its main branch
	LSN        pg.LSN // where that begins
	Major      int    // major version of PostgreSQL that it is of; 0: a page server that does not say
}

// TenantOptions say how the cluster of a new tenant is made.
type TenantOptions struct {
	Major int // of which major version of PostgreSQL it is; 0: the page server's default
}

// UpgradeOptions say how a branch of a newer major version is made.
type UpgradeOptions struct {
	Major     int                     // that version
	CheckOnly bool                    // only find out whether it could be made
	Output    func(line string) error // is told each line that pg_upgrade prints; never nil
	Progress  Progress                // of the copy and the import
}

// Distrib is a PostgreSQL installation on the page server's machine, on which data directories of its major
// version run.
type Distrib struct {
	Major   int    `json:"major"`
	Release string `json:"release"` // "17.12"
	Dir     string `json:"dir"`     // has bin/postgres
	Rule    string `json:"rule"`    // how it was found: a setting, "well-known place" or "PATH"
	Default bool   `json:"default"` // new tenants get this one unless they ask for another
	Problem string `json:"problem"` // why the setting for this major does not work; "" if it does
}

// Branch is the contract's branch object. Its JSON is what clients other than ours read, too.
type Branch struct {
	Name           string  `json:"name"`
	TimelineID     string  `json:"timeline_id"`
	LatestValidLSN pg.LSN  `json:"latest_valid_lsn"`     // its head
	AncestorID     *string `json:"ancestor_id"`          // timeline of the branch that it began at; nil: none
	AncestorLSN    *pg.LSN `json:"ancestor_lsn"`         // where on that timeline; nil: it has no ancestor
	Major          int     `json:"pg_version,omitempty"` // major version of PostgreSQL at its head; 0: a page server that does not say

	Created   *time.Time `json:"created_at,omitempty"` // nil: an earlier version made it, which did not note that
	Expires   *time.Time `json:"expires_at,omitempty"` // from when on nobody needs it; nil: it does not expire
	Protected bool       `json:"protected,omitempty"`
	Owner     string     `json:"owner,omitempty"`
	Note      string     `json:"note,omitempty"`
	// Was is the name that it had before another branch took its place; "": none did.
	Was string `json:"was,omitempty"`
}

// DeletedBranch is a branch that was deleted and can be brought back.
type DeletedBranch struct {
	Name       string    `json:"name"`
	TimelineID string    `json:"timeline_id"`
	DeletedAt  time.Time `json:"deleted_at"`
	KeptUntil  time.Time `json:"kept_until"` // at least
}

// MountOptions says what to mount where.
type MountOptions struct {
	Tenant  string
	Point   string // "" with an empty Tenant: the whole tree, read-only
	Dir     string // absolute; must exist and be empty
	Scratch bool   // writable, thrown away at umount
}

// The modes of a mount.
const (
	ModeReadOnly = "ro"      // NAME@LSN, immutable
	ModeWritable = "rw"      // NAME, the branch's head
	ModeScratch  = "scratch" // --scratch
	ModeTree     = "tree"    // everything, read-only
)

// Mount is a mount that is there.
type Mount struct {
	Dir      string  `json:"dir"`
	Mode     string  `json:"mode"`   // one of the Mode constants
	Tenant   string  `json:"tenant"` // this and what follows: "" or nil for ModeTree
	Branch   string  `json:"branch"`
	Timeline string  `json:"timeline"`
	LSN      *pg.LSN `json:"lsn"` // what it shows; where a writable one began

	// Errors counts the uses of files that failed with EIO or EOPNOTSUPP, and LastError is the reason of the last one,
	// with the file's path; "" if there was none.
	Errors    int64  `json:"errors"`
	LastError string `json:"last_error"`
}

// Setting is one line of postgresql.conf.
type Setting struct {
	Name, Value string
}

// ComputeOptions says how a compute is to run. Settings stay with the compute, once it has started
// with them.
type ComputeOptions struct {
	Port     int // 0: the one that it had, or a free one
	Settings []Setting
	Unset    []string // names of settings that it is not to have any more; what Settings has counts

	// How far the server may reach beyond its mount, its socket and its log; see docs/copies.md.
	// These two are of one start, and are not kept.
	Allow      []string // channels to open
	AsOriginal bool     // open all: the server takes the place of the one that it is a copy of
}

// SettingName gives the one form of a setting's name, which PostgreSQL takes in any case.
func SettingName(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, "-", "_"))
}

// StopModes are the modes of pg_ctl stop.
var StopModes = []string{"smart", "fast", "immediate"}

// StopOptions says how a compute is to end.
type StopOptions struct {
	Mode    string // one of StopModes; "" is fast
	Destroy bool   // forget the compute: its mount, settings and directory
}

// The states of a compute.
const (
	ComputeStopped  = "stopped"
	ComputeStarting = "starting"
	ComputeRunning  = "running"
	ComputeStopping = "stopping"
	ComputeCrashed  = "crashed"
	ComputeDamaged  = "damaged" // its settings cannot be read: it can be started, with other ones
)

// The ways of a compute's WAL.
const (
	WALDirect       = "direct"        // commits are written and synced past the mount
	WALThroughMount = "through mount" // slower: the page server is no root, or the server may recycle segments
)

// Compute is a postgres server that the page server runs, or could start again.
type Compute struct {
	Tenant   string `json:"tenant"`
	Name     string `json:"name"` // what pg start was given: a branch, or a point for one on a scratch mount
	Timeline string `json:"timeline"`
	LSN      pg.LSN `json:"lsn"`
	Status   string `json:"status"` // one of the Compute constants
	Host     string `json:"host"`   // the address of its TCP port; "": it has none
	Socket   string `json:"socket"` // the directory of its unix socket, which lets its owner in without a password
	Port     int    `json:"port"`   // of both
	User     string `json:"user"`
	Database string `json:"database"`
	Account  string `json:"account"` // of the operating system, under which it runs: a name, or a user id that has none
	Dir      string `json:"dir"`     // its data directory
	Log      string `json:"log"`     // its log file
	// PasswordFile has the password that User was given when zenith made the cluster; "": zenith did not.
	PasswordFile string `json:"password_file"`
	// Notes are what whoever starts it should know: one line each.
	Notes []string `json:"notes"`
	// Restarts is how often it has crashed, and was started anew, since somebody started it.
	Restarts int `json:"restarts"`
	// WAL is the way that its WAL takes to the branch: one of the WAL constants; "" if it does not run,
	// or has no branch.
	WAL string `json:"wal"`
}

// ExportOptions says what goes into an export.
type ExportOptions struct {
	SkipRelations bool // basebackup: everything but the data of user relations
	// Contained has the export's own configuration hold back what would lead a postgres on it out of its data
	// directory: see docs/copies.md.
	Contained bool
	Progress  Progress
	// Note is told in one line, before the first byte, what the configuration in the export would reach; it is not
	// called if that is nothing. It may be nil.
	Note func(line string)
}

// CheckResult says how much was verified.
type CheckResult struct {
	Branches int64 `json:"branches"`
	Pages    int64 `json:"pages"`
	WALBytes int64 `json:"wal_bytes"`
	Problems int64 `json:"problems"`

	Unchecked string `json:"unchecked"` // what was not looked at
}

// Retain says what GC must leave, beyond what branches, mounts and leases need: what the
// tenant's settings say, or, if it is Set, history of that Time or else that many Bytes of WAL.
type Retain struct {
	Bytes int64
	Time  time.Duration
	Set   bool
}

// GCOptions say what GC is to forget.
type GCOptions struct {
	Retain Retain
	// Force has GC forget what is younger than a day, too, if Retain says so: else it refuses. And
	// where all branches are meant, it forgets those that were deleted, though they are to be
	// kept for longer, but not within Retain.Time.
	Force    bool
	Progress Progress
}

// Forgettable is what GC would forget of a branch.
type Forgettable struct {
	Branch   string     `json:"branch"`
	From     pg.LSN     `json:"from_lsn"`  // where the history that is kept begins now
	FromTime *time.Time `json:"from_time"` // of the last commit before; nil: not known
	To       pg.LSN     `json:"to_lsn"`    // where it would begin
	ToTime   *time.Time `json:"to_time"`
	WALBytes int64      `json:"wal_bytes"` // from From to To
	Versions int64      `json:"versions"`  // of pages and all else: about so many would be deleted
}

// GCResult says what GC did.
type GCResult struct {
	Relations int64         `json:"n_relations"`
	Truncated int64         `json:"truncated"`
	Deleted   int64         `json:"deleted"`
	Dropped   int64         `json:"dropped"`
	Elapsed   time.Duration `json:"elapsed"` // milliseconds are sent
}

// Receiver is a WAL receiver and how far it is.
type Receiver struct {
	Branch   string `json:"branch"`
	ConnInfo string `json:"conninfo"` // without its password
	Status   string `json:"status"`   // streaming, connecting, waiting, failed
	Received pg.LSN `json:"received"`
	Flushed  pg.LSN `json:"flushed"`
	Applied  pg.LSN `json:"applied"`
	// LagBytes is the WAL that the server had when it was last heard of and the branch has not; nil: the page
	// server has not heard of it since it started.
	LagBytes *int64 `json:"lag_bytes"`
	// LagSeconds is how old the newest state of the server is that is known to be here whole: it grows while
	// the server cannot be reached. 0 if nothing is outstanding on a connection; nil: as for LagBytes.
	LagSeconds *int64     `json:"lag_seconds"`
	Since      *time.Time `json:"since"`      // when it began to stream, or ceased to
	LastError  string     `json:"last_error"` // one line, "" if all is well
}
