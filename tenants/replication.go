package tenants

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/postgres"
	"zenith/repo"
	"zenith/repo/datadir"
)

// Replicate opens a branch for a replication client. Until that closes the source, the branch
// cannot be deleted and its tenant stays open.
func (m *Manager) Replicate(ctx context.Context, tenant, name string) (api.ReplicationSource, error) {
	if name == "" {
		name = MainBranch
	}
	b, release, err := m.lookup(ctx, tenant, name)
	if err != nil {
		return nil, err
	}
	b.use(1)
	return &replicated{b: b, close: sync.OnceFunc(func() { b.use(-1); release() })}, nil
}

// replicated is a branch that a replication client has open.
type replicated struct {
	b     *branch
	close func()
}

// Close implements io.Closer.
func (r *replicated) Close() error {
	r.close()
	return nil
}

// Version is the PostgreSQL whose data and WAL the branch has.
func (r *replicated) Version() *pg.Version { return r.b.tl.Version() }

// walLevels are the names of pg.WALLevelMinimal and so on.
var walLevels = [...]string{"minimal", "replica", "logical"}

// System describes the branch.
func (r *replicated) System(ctx context.Context) (api.ReplicationSystem, error) {
	head, err := r.b.catchup(ctx)
	if err != nil {
		return api.ReplicationSystem{}, err
	}
	at, err := r.b.tl.Resolve(ctx, head)
	if err != nil {
		return api.ReplicationSystem{}, classify(err)
	}
	info, set := r.b.tl.Info(), &at.State.Settings
	checksums := "off"
	if at.State.ChecksumVersion != 0 {
		checksums = "on"
	}
	number := func(name string, v int32) api.Setting {
		return api.Setting{Name: name, Value: strconv.Itoa(int(v))}
	}
	return api.ReplicationSystem{
		SystemID: api.SystemID{SysID: info.SysID, TLI: info.TLI, XLogPos: head},
		SegSize:  info.SegSize,
		Settings: []api.Setting{
			{Name: "wal_level", Value: walLevels[min(int(set.WALLevel), len(walLevels)-1)]},
			{Name: "data_checksums", Value: checksums},
			number("max_connections", set.MaxConnections),
			number("max_worker_processes", set.MaxWorkerProcesses),
			number("max_wal_senders", set.MaxWALSenders),
			number("max_prepared_transactions", set.MaxPreparedXacts),
			number("max_locks_per_transaction", set.MaxLocksPerXact),
			{Name: "zenith.tenant_id", Value: r.b.t.id.String()},
			{Name: "zenith.timeline_id", Value: info.ID.String()},
		},
	}, nil
}

// Head is the end of durable, complete WAL.
func (r *replicated) Head() pg.LSN { return r.b.tl.LastLSN() }

// WaitLSN waits until Head is at or beyond lsn, or ctx ends.
func (r *replicated) WaitLSN(ctx context.Context, lsn pg.LSN) error {
	return classify(r.b.tl.WaitLSN(ctx, lsn))
}

// ReadWAL reads the branch's WAL, its ancestors' below the branch point.
func (r *replicated) ReadWAL(p []byte, at pg.LSN) (int, error) {
	n, err := r.b.tl.WAL().ReadWAL(p, at)
	if errors.Is(err, repo.ErrOutOfRange) {
		err = io.EOF // the WAL was forgotten: the stream ends
	}
	return n, err
}

// History says on which of PostgreSQL's timelines the WAL is.
func (r *replicated) History() pg.History { return r.b.tl.History() }

// TimelineHistory reads a history file, which is one of the branch's files.
func (r *replicated) TimelineHistory(ctx context.Context, tli pg.TLI) ([]byte, error) {
	snap, err := r.b.tl.AtHead(ctx)
	if err != nil {
		return nil, classify(err)
	}
	content, err := snap.ReadFile(ctx, pg.HistoryPath(tli))
	return content, classify(err)
}

// Slots are the branch's replication slots.
func (r *replicated) Slots() api.SlotService { return branchSlots{r.b} }

// BaseBackup begins a base backup as of the head.
func (r *replicated) BaseBackup(ctx context.Context, o api.BackupOptions) (api.Backup, error) {
	if _, err := r.b.catchup(ctx); err != nil {
		return nil, err
	}
	note := ""
	if o.Fast {
		var err error
		if note, err = r.b.freshCheckpoint(ctx); err != nil {
			return nil, err
		}
	}
	s := &baseBackup{release: r.b.tl.Hold(), note: note} // no collection removes what the backup still has to read
	if err := s.begin(ctx, r.b, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// begin composes the backup.
func (s *baseBackup) begin(ctx context.Context, b *branch, o api.BackupOptions) error {
	snap, err := b.tl.AtHead(ctx)
	if err != nil {
		return classify(err)
	}
	if err := b.remake(ctx, snap.LSN(), ""); err != nil {
		return err
	}
	h, err := s.configuration(ctx, snap)
	if err != nil {
		return err
	}
	s.b, err = datadir.NewBaseBackup(ctx, snap, datadir.BaseBackupOptions{
		Label: o.Label, WAL: o.WAL, TablespaceMap: o.TablespaceMap,
		Manifest: o.Manifest, ForceEncode: o.ForceEncode, Checksums: o.Checksums, Files: h.Files,
	})
	if errors.Is(err, repo.ErrNotFound) {
		return &api.Error{Kind: api.ErrOutOfRange, Msg: "base backup of branch " + b.tl.Name() + ": " + err.Error()}
	}
	if err != nil {
		return classify(err)
	}
	s.info = api.BackupInfo{Start: s.b.Start, Stop: s.b.Stop, StartTLI: s.b.StartTLI, TLI: s.b.TLI, Note: strings.Join(postgres.Notes(s.note, h.Note()), "; ")}
	return classify(s.list(ctx, o.Sizes))
}

// configuration makes the configuration of a state ready for the backup. It is not contained: a standby is as
// its primary, as far as it is not led to the primary's files.
func (s *baseBackup) configuration(ctx context.Context, snap *repo.Snapshot) (postgres.Handout, error) {
	view, err := compose(ctx, snap)
	if err != nil {
		return postgres.Handout{}, err
	}
	return postgres.HandOut(viewFiles{ctx, view}, false)
}

// baseBackup is a base backup that is being sent.
type baseBackup struct {
	b       *datadir.BaseBackup
	info    api.BackupInfo
	release func()
	note    string // of the checkpoint that was asked for
}

// list lists the archives: the tablespaces', and then the data directory's.
func (s *baseBackup) list(ctx context.Context, sizes bool) (err error) {
	for i := range len(s.b.Tablespaces) + 1 {
		a := api.BackupArchive{Size: -1}
		spc := s.tablespace(i)
		if spc != nil {
			a.OID, a.Location = spc.OID, spc.Location
		}
		if sizes {
			if a.Size, err = s.b.Size(ctx, spc); err != nil {
				return err
			}
		}
		s.info.Archives = append(s.info.Archives, a)
	}
	return nil
}

// tablespace gives the tablespace of archive i; nil: that archive is the data directory.
func (s *baseBackup) tablespace(i int) *datadir.Tablespace {
	if i < len(s.b.Tablespaces) {
		return &s.b.Tablespaces[i]
	}
	return nil
}

// Info describes the backup.
func (s *baseBackup) Info() api.BackupInfo { return s.info }

// WriteArchive writes archive i.
func (s *baseBackup) WriteArchive(ctx context.Context, i int, w io.Writer) error {
	return classify(s.b.WriteArchive(ctx, s.tablespace(i), w))
}

// WriteManifest writes the manifest.
func (s *baseBackup) WriteManifest(w io.Writer) error { return classify(s.b.WriteManifest(w)) }

// Close lets collections remove again what the backup has read.
func (s *baseBackup) Close() error {
	s.release()
	return nil
}
