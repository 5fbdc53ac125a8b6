package datadir

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
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
	Manifest      bool   // keep a manifest
	ForceEncode   bool   // with all paths in hexadecimal
	Checksums     string // and these checksums: NONE, CRC32C, SHA224 to SHA512
}

// Tablespace is one that the server has elsewhere.
type Tablespace struct {
	OID      pg.OID
	Location string
}

// BaseBackup is a snapshot as a base backup for a server that is to follow the timeline.
//
// A View pretends that the server was shut down at its LSN: nobody who starts on it can go
// on with the timeline's own WAL. A BaseBackup is what pg_basebackup gets from a standby
// instead: the pages as of Stop, which is the snapshot's LSN; a backup_label that names the
// last checkpoint before; and a pg_control that says that recovery was at Stop. Who starts
// on it replays the timeline's own WAL from Start, passes over what the pages have already,
// is consistent at Stop, and goes on from there.
type BaseBackup struct {
	Start, Stop pg.LSN // of the WAL that is needed
	TLI         pg.TLI
	Tablespaces []Tablespace

	v        *View
	o        BaseBackupOptions
	label    bytesFile
	control  bytesFile
	manifest *manifest // nil: none
}

// NewBaseBackup begins a base backup. repo.ErrNotFound: WAL from the last checkpoint on is
// not kept.
func NewBaseBackup(ctx context.Context, snap *repo.Snapshot, o BaseBackupOptions) (*BaseBackup, error) {
	v, err := New(ctx, snap)
	if err != nil {
		return nil, err
	}
	if snap.State().Settings.WALLevel < pg.WALLevelReplica {
		return nil, fmt.Errorf("wal_level is minimal at %v: %w", snap.LSN(), repo.ErrInvalid)
	}
	b := &BaseBackup{v: v, o: o, Stop: snap.LSN(), TLI: snap.State().CheckPoint.ThisTLI}
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

// begin finds the checkpoint that recovery is to start from, and writes what names it.
func (b *BaseBackup) begin() error {
	snap, state := b.v.snap, b.v.snap.State()
	cp, err := b.checkpoint(state.LastCheckpoint)
	if err != nil {
		return err
	}
	b.Start = cp.Redo
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
		b.Start, xlog.SegmentName(b.TLI, b.Start, snap.Timeline().Info().SegSize), state.LastCheckpoint,
		time.Now().UTC().Format(time.DateTime), b.o.Label, uint32(b.TLI))
	return nil
}

// checkpoint reads the checkpoint's record at at, and sees that WAL is there from its redo
// point on.
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
	rec, r := new(xlog.Record), xlog.NewReader(tl.WAL(), tl.WALConfig(), at)
	err := r.Next(rec)
	if errors.Is(err, io.EOF) || errors.Is(err, repo.ErrOutOfRange) {
		err = fmt.Errorf("the last checkpoint needs WAL from %v on, which is not kept: "+
			"try again after the next checkpoint: %w", at, repo.ErrNotFound)
	}
	return rec, err
}

// findTablespaces lists those with a location of their own. One without is a directory in
// pg_tblspc.
func (b *BaseBackup) findTablespaces(ctx context.Context) error {
	return b.v.snap.Files(ctx, "pg_tblspc/", func(path string, _ int) error {
		oid, ok := tablespaceOf(path)
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
func (b *BaseBackup) Size(ctx context.Context, spc *Tablespace) (total int64, err error) {
	e := b.exporter(spc, nil)
	err = e.walk(ctx, spc.dir(), func(_ string, entry tree.Entry) error {
		if !entry.Dir {
			total += entry.File.Size()
		}
		return nil
	})
	return total, err
}

// dir is where a tablespace is in the data directory; "" is that itself.
func (s *Tablespace) dir() string {
	if s == nil {
		return ""
	}
	return "pg_tblspc/" + s.OID.String()
}

// WriteArchive writes the tar archive of a tablespace, or that of the data directory for
// nil, which must be the last one.
func (b *BaseBackup) WriteArchive(ctx context.Context, spc *Tablespace, w io.Writer) error {
	stream := tar.NewWriter(w)
	sink := &backupSink{b: b, w: stream, prefix: spc.dir()}
	e := b.exporter(spc, sink)
	if spc == nil {
		if err := b.head(e); err != nil {
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

// exporter makes one that leaves out what a base backup has not.
func (b *BaseBackup) exporter(spc *Tablespace, s sink) *exporter {
	elsewhere := map[string]bool{}
	for i := range b.Tablespaces {
		elsewhere[b.Tablespaces[i].dir()] = spc == nil
	}
	return newExporter(b.v, s, ExportOptions{}, func(path string, entry tree.Entry) bool {
		p := pg.ParsePath(path)
		f, isPages := entry.File.(*pagesFile)
		return path == pg.ControlPath || elsewhere[path] || p.Kind == pg.PathWALSegment ||
			isPages && f.fork != p.Fork // the main fork of an unlogged relation: recovery would remove it
	})
}

// head writes what comes before the data directory's files.
func (b *BaseBackup) head(e *exporter) error {
	if err := e.bytes("backup_label", b.label); err != nil || !b.o.TablespaceMap || len(b.Tablespaces) == 0 {
		return err
	}
	var lines []byte
	for _, s := range b.Tablespaces {
		escaped := strings.NewReplacer("\\", "\\\\", "\n", "\\\n", "\r", "\\\r").Replace(s.Location)
		lines = fmt.Appendf(lines, "%v %s\n", s.OID, escaped)
	}
	return e.bytes("tablespace_map", lines)
}

// tail writes what comes behind them: links, pg_control, and WAL.
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
	if err := e.bytes(pg.ControlPath, b.control); err != nil || !b.o.WAL {
		return err
	}
	upTo := shutdown{wal: b.v.stop.wal, at: b.Stop, end: b.Stop, checkPoint: pg.CheckPoint{Redo: b.Start}, cfg: b.v.stop.cfg}
	for _, f := range upTo.segments() {
		if err := e.file(ctx, f.path(), f); err != nil {
			return fmt.Errorf("send %s: %w", f.path(), err)
		}
		// Or the server that starts on it would archive it once more.
		done := strings.Replace(f.path(), "pg_wal/", "pg_wal/archive_status/", 1) + ".done"
		if err := e.bytes(done, nil); err != nil {
			return err
		}
	}
	return nil
}

// WriteManifest ends the manifest and writes it.
func (b *BaseBackup) WriteManifest(w io.Writer) error {
	if b.manifest == nil {
		return fmt.Errorf("the backup has no manifest: %w", repo.ErrInvalid)
	}
	return b.manifest.writeTo(w, b.TLI, b.Start, b.Stop)
}

// backupSink writes an archive of a base backup, and the manifest.
type backupSink struct {
	b      *BaseBackup
	w      *tar.Writer
	prefix string // of the archive's paths in the data directory
}

// maxTarName is how long a path may be: the clients know the oldest tar only.
const maxTarName = 99

func (s *backupSink) header(kind byte, path string, mode int64) (*tar.Header, error) {
	if len(path) > maxTarName {
		return nil, fmt.Errorf("file name too long for tar format: %q: %w", path, repo.ErrInvalid)
	}
	return &tar.Header{
		Typeflag: kind, Name: path, Mode: mode, ModTime: s.b.v.ModTime(), Uname: "postgres", Gname: "postgres", Format: tar.FormatUSTAR,
	}, nil
}

// relative is a path within the archive.
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
