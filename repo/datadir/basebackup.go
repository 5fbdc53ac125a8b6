package datadir

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"zenith/internal/pg"
	"zenith/internal/tree"
	"zenith/internal/xlog"
	"zenith/repo"
)

// BaseBackupOptions are NewBaseBackup's.
type BaseBackupOptions struct {
	Label         string
	WAL           bool   // put the WAL from Start to Stop into the archive of the data directory
	TablespaceMap bool   // a file tablespace_map, in place of links
	Manifest      bool   // make a manifest, for WriteManifest
	ForceEncode   bool   // the manifest has all paths in hexadecimal
	Checksums     string // the manifest's checksums: NONE, CRC32C, SHA224, SHA256, SHA384 or SHA512
	// Files are the contents of files, by path, that are not to be as the state has them.
	Files map[string][]byte
}

// Tablespace is a tablespace that has a location outside of the data directory.
type Tablespace struct {
	OID      pg.OID
	Location string
}

// BaseBackup is a snapshot as a base backup for a server that is to follow the timeline.
//
// A View pretends that the server was shut down at its LSN: a server that starts on it cannot go
// on with the timeline's own WAL. A BaseBackup is what pg_basebackup gets from a standby
// instead: the pages as of Stop, which is the snapshot's LSN; a backup_label that names the
// last checkpoint before; and a pg_control that says that recovery was at Stop. A server that
// starts on it replays the timeline's own WAL from Start, passes over what the pages have
// already, is consistent at Stop, and goes on from there.
type BaseBackup struct {
	Start, Stop pg.LSN // of the WAL that is needed
	StartTLI    pg.TLI // PostgreSQL's timeline of the checkpoint at which recovery begins
	TLI         pg.TLI // and the one at Stop
	Tablespaces []Tablespace

	v        *View
	o        BaseBackupOptions
	label    bytesFile
	control  bytesFile
	manifest *manifest // nil: none
}

// NewBaseBackup begins a base backup. If the WAL since the last checkpoint is not kept any more,
// the error is a repo.ErrNotFound.
func NewBaseBackup(ctx context.Context, snap *repo.Snapshot, o BaseBackupOptions) (*BaseBackup, error) {
	v, err := New(ctx, snap)
	if err != nil {
		return nil, err
	}
	if snap.State().Settings.WALLevel < pg.WALLevelReplica {
		return nil, fmt.Errorf("wal_level is minimal at %v: %w", snap.LSN(), repo.ErrInvalid)
	}
	b := &BaseBackup{v: v, o: o, Stop: snap.LSN(), TLI: v.stop.history.TLI()}
	if o.Manifest {
		if b.manifest, err = newManifest(o.Checksums, o.ForceEncode); err != nil {
			return nil, err
		}
	}
	if err := b.begin(); err != nil {
		return nil, err
	}
	return b, b.findTablespaces(ctx)
}

// begin finds the checkpoint that recovery is to start from, and makes the backup_label and the
// pg_control that name it.
func (b *BaseBackup) begin() error {
	snap, state := b.v.snap, b.v.snap.State()
	cp, err := b.checkpoint(state.LastCheckpoint)
	if err != nil {
		return err
	}
	b.Start, b.StartTLI = cp.Redo, cp.ThisTLI
	cf, err := pg.ParseControlFile(b.v.control)
	if err != nil {
		return err
	}
	cf.State = pg.DBInArchiveRecovery
	cf.CheckPoint, cf.CheckPointCopy = state.LastCheckpoint, cp
	cf.MinRecoveryPoint, cf.MinRecoveryTLI = b.Stop, b.TLI
	b.control = cf.Encode()
	b.label = fmt.Appendf(nil, "START WAL LOCATION: %v (file %s)\nCHECKPOINT LOCATION: %v\nBACKUP METHOD: streamed\n"+
		"BACKUP FROM: standby\nSTART TIME: %s UTC\nLABEL: %s\nSTART TIMELINE: %d\n",
		b.Start, xlog.SegmentName(b.StartTLI, b.Start, snap.Timeline().Info().SegSize), state.LastCheckpoint,
		time.Now().UTC().Format(time.DateTime), b.o.Label, uint32(b.StartTLI))
	return nil
}

// checkpoint reads the checkpoint's record at at, and makes sure that the WAL from its redo point
// on is kept.
func (b *BaseBackup) checkpoint(at pg.LSN) (cp pg.CheckPoint, err error) {
	rec, err := b.record(at)
	if err == nil {
		if _, ok := rec.IsCheckpoint(); !ok {
			return cp, fmt.Errorf("the record at %v is no checkpoint: %w", at, repo.ErrCorrupt)
		}
		cp, err = xlog.ParseCheckPoint(rec)
	}
	if err == nil && cp.Redo < at {
		_, err = b.record(cp.Redo)
	}
	return cp, err
}

// record reads the record that starts at at.
func (b *BaseBackup) record(at pg.LSN) (*xlog.Record, error) {
	tl := b.v.snap.Timeline()
	cfg, _ := tl.WALConfigAt(at)
	rec, r := new(xlog.Record), xlog.NewReader(tl.WAL(), cfg, at)
	err := r.Next(rec)
	if errors.Is(err, io.EOF) || errors.Is(err, repo.ErrOutOfRange) {
		err = fmt.Errorf("the last checkpoint needs WAL from %v on, which is not kept: "+
			"try again after the next checkpoint: %w", at, repo.ErrNotFound)
	}
	return rec, err
}

// findTablespaces lists the tablespaces that have a location. One without is a directory in
// pg_tblspc.
func (b *BaseBackup) findTablespaces(ctx context.Context) error {
	return b.v.snap.Files(ctx, "pg_tblspc/", func(path string, _ int) error {
		oid, ok := pg.ParseTablespacePath(path)
		if !ok {
			return nil
		}
		content, err := b.v.snap.ReadFile(ctx, path)
		if location := strings.TrimSuffix(string(content), "\n"); err == nil && location != "" {
			b.Tablespaces = append(b.Tablespaces, Tablespace{oid, location})
		}
		return err
	})
}

// Size gives the number of bytes in a tablespace's files, or in those of the data directory
// for nil.
func (b *BaseBackup) Size(ctx context.Context, spc *Tablespace) (int64, error) {
	return b.exporter(spc, nil).size(ctx, spc.dir())
}

// dir gives the path of a tablespace in the data directory; nil is the data directory itself.
func (s *Tablespace) dir() string {
	if s == nil {
		return ""
	}
	return pg.TablespacePath(s.OID)
}

// WriteArchive writes the tar archive of a tablespace, or that of the data directory for
// nil, which must be the last one.
func (b *BaseBackup) WriteArchive(ctx context.Context, spc *Tablespace, w io.Writer) error {
	stream := tar.NewWriter(w)
	sink := &backupSink{b: b, w: stream, prefix: spc.dir()}
	e := b.exporter(spc, sink)
	if spc == nil {
		if err := b.head(ctx, e); err != nil {
			return err
		}
	}
	if err := e.entries(ctx, spc.dir()); err != nil {
		return err
	}
	if spc == nil {
		if err := b.tail(ctx, e); err != nil {
			return err
		}
	}
	return stream.Close()
}

// exporter makes an exporter of a tablespace's archive, or of the data directory's for nil. It
// leaves out what is not in that archive: what another one has, and what head and tail write.
func (b *BaseBackup) exporter(spc *Tablespace, s sink) *exporter {
	elsewhere := map[string]bool{}
	for i := range b.Tablespaces {
		elsewhere[b.Tablespaces[i].dir()] = spc == nil
	}
	return newExporter(b.v, s, ExportOptions{Files: b.o.Files}, func(path string, entry tree.Entry) bool {
		p := b.v.version.ParsePath(path)
		f, isPages := entry.File.(*pagesFile)
		return path == pg.ControlPath || elsewhere[path] || p.Kind == pg.PathWALSegment ||
			isPages && f.fork != p.Fork // the main fork of an unlogged relation: recovery would remove it
	})
}

// head writes what comes before the data directory's files.
func (b *BaseBackup) head(ctx context.Context, e *exporter) error {
	if err := e.bytes(ctx, "backup_label", b.label); err != nil || !b.o.TablespaceMap || len(b.Tablespaces) == 0 {
		return err
	}
	var lines []byte
	for _, s := range b.Tablespaces {
		escaped := strings.NewReplacer("\\", "\\\\", "\n", "\\\n", "\r", "\\\r").Replace(s.Location)
		lines = fmt.Appendf(lines, "%v %s\n", s.OID, escaped)
	}
	return e.bytes(ctx, "tablespace_map", lines)
}

// tail writes what comes after the data directory's files: links, pg_control, and WAL.
func (b *BaseBackup) tail(ctx context.Context, e *exporter) error {
	for i := range b.Tablespaces {
		s := &b.Tablespaces[i]
		if b.o.TablespaceMap {
			break
		}
		if err := e.sink.(*backupSink).link(s.dir(), s.Location); err != nil {
			return err
		}
	}
	if err := e.bytes(ctx, pg.ControlPath, b.control); err != nil || !b.o.WAL {
		return err
	}
	for _, f := range b.walFiles() {
		if err := e.file(ctx, f.path(), f); err != nil {
			return fmt.Errorf("send %s: %w", f.path(), err)
		}
		// Without this file the server that starts on the backup would archive the segment again.
		done := strings.Replace(f.path(), "pg_wal/", "pg_wal/archive_status/", 1) + ".done"
		if err := e.bytes(ctx, done, nil); err != nil {
			return err
		}
	}
	return nil
}

// walFiles gives the WAL from Start to Stop. A segment in which a timeline was left is there under that timeline's name,
// too, up to that place, as on the server that was promoted: pg_waldump looks for each timeline's WAL under
// its own names.
func (b *BaseBackup) walFiles() (list []*walFile) {
	for _, r := range b.walRanges() {
		upTo := shutdown{wal: b.v.stop.wal, at: r.end, end: r.end, checkPoint: pg.CheckPoint{Redo: r.start},
			cfg: b.v.stop.cfg, history: b.v.stop.history.Until(r.end)}
		list = append(list, upTo.segments()...)
	}
	return list
}

// WriteManifest ends the manifest and writes it.
func (b *BaseBackup) WriteManifest(w io.Writer) error {
	if b.manifest == nil {
		return fmt.Errorf("the backup has no manifest: %w", repo.ErrInvalid)
	}
	return b.manifest.writeTo(w, b.walRanges())
}

// walRange is a stretch of WAL on one of PostgreSQL's timelines.
type walRange struct {
	tli        pg.TLI
	start, end pg.LSN
}

// walRanges are the WAL from Start to Stop, the newest timeline first (AddWALInfoToBackupManifest).
func (b *BaseBackup) walRanges() (list []walRange) {
	end := b.Stop
	for _, e := range slices.Backward(b.v.stop.history) {
		if e.TLI <= b.StartTLI || e.Begin <= b.Start {
			return append(list, walRange{e.TLI, b.Start, end})
		}
		list = append(list, walRange{e.TLI, e.Begin, end})
		end = e.Begin
	}
	return list
}

// backupSink writes an archive of a base backup, and the entries of its files in the manifest.
type backupSink struct {
	b      *BaseBackup
	w      *tar.Writer
	prefix string // the directory that the archive is of: names in the archive are relative to it
}

// maxTarName is how many bytes a path may have: clients know only the oldest form of tar.
const maxTarName = 99

func (s *backupSink) header(kind byte, path string, mode int64) (*tar.Header, error) {
	if len(path) > maxTarName {
		return nil, fmt.Errorf("file name too long for tar format: %q: %w", path, repo.ErrInvalid)
	}
	return &tar.Header{
		Typeflag: kind, Name: path, Mode: mode, ModTime: s.b.v.ModTime(), Uname: "postgres", Gname: "postgres", Format: tar.FormatUSTAR,
	}, nil
}

// relative gives the name in the archive of a path in the data directory.
func (s *backupSink) relative(path string) string {
	if s.prefix == "" {
		return path
	}
	return strings.TrimPrefix(path, s.prefix+"/")
}

func (s *backupSink) mkdir(path string) error {
	h, err := s.header(tar.TypeDir, s.relative(path)+"/", 0o700)
	if err != nil {
		return err
	}
	return s.w.WriteHeader(h)
}

func (s *backupSink) link(path, target string) error {
	h, err := s.header(tar.TypeSymlink, path, 0o777)
	if err != nil {
		return err
	}
	h.Linkname = target
	return s.w.WriteHeader(h)
}

func (s *backupSink) create(path string, size int64) (io.WriteCloser, error) {
	h, err := s.header(tar.TypeReg, s.relative(path), 0o600)
	if err != nil {
		return nil, err
	}
	h.Size = size
	if err := s.w.WriteHeader(h); err != nil || s.b.manifest == nil {
		return tarFile{s.w}, err
	}
	return s.b.manifest.file(s.w, path, size, h.ModTime), nil
}
