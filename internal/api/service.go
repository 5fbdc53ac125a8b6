package api

import (
	"context"
	"io"
	"time"

	"zenith/internal/pg"
)

// Service is what the page server puts on the network. Its arguments are the words of
// the command, not yet understood: a tenant is 32 hex digits, a branch is a name or a
// timeline id, a point is NAME, NAME@LSN or NAME@TIME, a directory is an absolute path
// on the server's machine. Errors wrap this package's kinds. All methods are safe for
// concurrent use and return soon after ctx ends.
type Service interface {
	SystemService
	TenantService
	BranchService
	LifeService
	MountService
	ComputeService
	HistoryService
	ReceiverService
	PushService
}

// SystemService says who the server is and how it does.
type SystemService interface {
	// Status gives what `zenith status` prints of a running server: address, tenants,
	// branches, mounts, receivers and their lag. The server itself adds nothing.
	Status(ctx context.Context) ([]StatusRow, error)
	// IdentifySystem describes a branch as IDENTIFY_SYSTEM does. Empty strings mean the
	// default tenant and its main branch.
	IdentifySystem(ctx context.Context, tenant, branch string) (SystemID, error)
}

// TenantService is about tenants.
type TenantService interface {
	// TenantList gives the ids, sorted.
	TenantList(ctx context.Context) ([]string, error)
	// TenantCreate makes a tenant with a fresh initdb as its main branch.
	TenantCreate(ctx context.Context, id string, o TenantOptions, p Progress) (TenantInfo, error)
}

// BranchService is about branches and what their points mean.
type BranchService interface {
	// BranchList gives a tenant's branches in the order of their creation.
	BranchList(ctx context.Context, tenant string) ([]Branch, error)
	// BranchCreate makes a branch at a point; the result's AncestorLSN says which LSN that was.
	BranchCreate(ctx context.Context, tenant, name, point string, o BranchOptions) (Branch, error)
	// BranchUpgrade makes a branch of a newer major version from a point, by stock pg_upgrade on a copy. It has no
	// ancestor; the point's branch stays as it is. ErrNotAllowed: pg_upgrade refuses, and its output says why.
	// With o.CheckOnly there is no branch, and the result is empty.
	BranchUpgrade(ctx context.Context, tenant, name, point string, o UpgradeOptions) (Branch, error)
	// BranchDelete refuses while the branch has children, a mount or a running postgres: ErrBusy;
	// and unless it is forced, if it is main, the last one, or has history of its own: ErrNotAllowed.
	// The branch is kept for a while.
	BranchDelete(ctx context.Context, tenant, name string, force bool) error
	// BranchUndelete brings back the branch that was deleted last under that name, or the one with
	// that timeline id; as another one if as is not "".
	BranchUndelete(ctx context.Context, tenant, name, as string) (Branch, error)
	// BranchDeleted lists the branches that can be brought back, the last one that was deleted first.
	BranchDeleted(ctx context.Context, tenant string) ([]DeletedBranch, error)
	// LSN gives the LSN that a point means. For a head it holds every commit that was
	// acknowledged before the call.
	LSN(ctx context.Context, tenant, point string) (pg.LSN, error)
}

// MountService is about mounts on the server's machine.
type MountService interface {
	// Mount returns when the tree is there. An empty Point mounts the whole tree of all tenants.
	Mount(ctx context.Context, o MountOptions) (Mount, error)
	// Umount refuses a mount in use, unless lazy: then it goes when the last user is gone.
	// It also clears away what a killed server left at dir.
	Umount(ctx context.Context, dir string, lazy bool) error
	// MountList gives the mounts, sorted by directory. Mounts of computes are among them.
	MountList(ctx context.Context) ([]Mount, error)
}

// ComputeService is about postgres servers, which run as children of the page server,
// each on a mount of its own.
type ComputeService interface {
	// PgCreate makes the directory and settings of a compute for a point and does not start it.
	PgCreate(ctx context.Context, tenant, point string, o ComputeOptions) (Compute, error)
	// PgStart starts it, having created it if need be, and returns when it accepts
	// connections. A point with an "@" runs on a scratch mount. One that runs already, with all
	// that o asks for, is as if it were started; ErrBusy: it runs with other settings.
	PgStart(ctx context.Context, tenant, point string, o ComputeOptions) (Compute, error)
	// PgStop stops a compute by the name that PgList shows.
	PgStop(ctx context.Context, tenant, name string, o StopOptions) error
	// PgReload has a running one read its configuration again; ErrNotFound: it does not run.
	PgReload(ctx context.Context, tenant, name string) error
	// PgRestart stops a running one and starts it as it was started the last time; ErrNotFound: it does not run.
	PgRestart(ctx context.Context, tenant, name string) (Compute, error)
	// PgList gives a tenant's computes, sorted by name.
	PgList(ctx context.Context, tenant string) ([]Compute, error)
	// PgExec starts a throw-away postgres at a point. stop takes it down and removes
	// everything that it had; the page server calls it when the client says so or is gone.
	PgExec(ctx context.Context, tenant, point string, o ComputeOptions) (c Compute, stop func(context.Context) error, err error)
	// PgDistribs lists the installations that computes run on, at most one for each major version, oldest first.
	PgDistribs(ctx context.Context) ([]Distrib, error)
}

// HistoryService is about the versions that branches hold.
type HistoryService interface {
	// WALDump writes the records of a branch that start in [from, to) as pg_waldump prints
	// them, with times in zone. from 0 is the start of what is kept, to 0 the head.
	WALDump(ctx context.Context, tenant, branch string, from, to pg.LSN, zone *time.Location, w io.Writer) error
	// Log tells what the transactions did that ended up to a point, the newest first, and sends each that o wants.
	Log(ctx context.Context, tenant, point string, o LogOptions, send func(Commit) error) error
	// ReadPage gives a block of the file at path in the data directory of a point. The
	// block counts from the start of the relation, not of the segment.
	ReadPage(ctx context.Context, tenant, point, path string, block pg.BlockNumber) (pg.Page, error)
	// Export writes a data directory as an uncompressed tar stream.
	Export(ctx context.Context, tenant, point string, o ExportOptions, w io.Writer) error
	// Pages opens a branch for page requests.
	Pages(ctx context.Context, tenant, branch string) (PageSource, error)
	// Check verifies one branch, or all of the tenant if branch is "". Each problem is
	// told to found as one line; a damaged store is no error of Check itself.
	Check(ctx context.Context, tenant, branch string, found func(problem string) error, p Progress) (CheckResult, error)
	// Repair mends a tenant's store that cannot be opened, if that can be done without loss, and says
	// what it did; "" if there is nothing to mend.
	Repair(ctx context.Context, tenant string) (done string, err error)
	// GC forgets history that is older than what is retained; branch "" means all of the tenant's.
	// ErrNotAllowed: it is told to forget what is younger than a day, and not forced to.
	GC(ctx context.Context, tenant, branch string, o GCOptions) (GCResult, error)
	// GCPlan says what GC would forget, and forgets nothing. Branches of which nothing would be
	// forgotten are not in the list.
	GCPlan(ctx context.Context, tenant, branch string, r Retain) ([]Forgettable, error)
	// Lease keeps an LSN of a branch from being collected, and says until when.
	Lease(ctx context.Context, tenant, branch string, lsn pg.LSN) (time.Time, error)
}

// ReceiverService is about WAL receivers.
type ReceiverService interface {
	// ReceiveStart streams WAL from the server that conninfo names into the branch.
	ReceiveStart(ctx context.Context, tenant, branch, conninfo string) error
	// ReceiveSet has the branch's receiver go on at another address of its server, or at the server that took
	// its place, from where the branch is. A server that cannot be followed is refused, and the old one kept.
	ReceiveSet(ctx context.Context, tenant, branch, conninfo string) error
	// ReceiveStop ends it.
	ReceiveStop(ctx context.Context, tenant, branch string) error
	// ReceiveList gives a tenant's receivers.
	ReceiveList(ctx context.Context, tenant string) ([]Receiver, error)
}

// PageSource answers page requests, one at a time. lsn 0 means the newest state.
type PageSource interface {
	io.Closer
	// Size gives the number of blocks of a relation's fork, and whether it exists.
	Size(ctx context.Context, rel pg.RelFork, lsn pg.LSN) (n pg.BlockNumber, exists bool, err error)
	// ReadPage fills dst.
	ReadPage(ctx context.Context, tag pg.BufferTag, lsn pg.LSN, dst pg.Page) error
}

// Progress is told how far a part of a long command is, in bytes. total 0 means not known. It is cheap, may be
// called from any goroutine and often, and is never nil.
type Progress func(what string, done, total int64)
