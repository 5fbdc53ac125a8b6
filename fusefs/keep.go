package fusefs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/sidefile"
	"zenith/internal/tree"
)

// What a working tree leaves for the next mount of its branch:
//
//	keep/files/<path>  a file, whole
//	keep/marker.json   written last
//	keep.new           the same, of a mount that ends
//	keep.damaged-<n>   the same, whose marker could not be read
//
// Most kept files belong to the state at a clean stop. They are used only if the next base
// is that state: if its last checkpoint is the one that the marker names. Nothing
// here is changed while mounted, so after a crash the next mount finds the same files, and uses
// them if its base is still that state.
const (
	keepName   = "keep"
	keepNew    = "keep.new"
	keepFiles  = "files"
	markerName = "marker.json"
)

// marker says which state the kept files belong to.
type marker struct {
	Clean      bool     `json:"clean"` // postgres was stopped cleanly; else the rest means nothing
	SystemID   uint64   `json:"system_id"`
	Checkpoint string   `json:"checkpoint"`
	WAL        []string `json:"wal"` // the segments that pg_wal showed at the end
}

// markerKind is the marker's file.
var markerKind = sidefile.Kind[marker]{
	Lost: "unlogged tables, statistics and the like, as of the last clean stop", Perm: 0o600, Format: sidefile.JSON,
}

// fits reports whether the kept files belong to the state whose pg_control is c.
func (m marker) fits(c *pg.ControlFile) bool {
	return m.Clean && c != nil && m.SystemID == c.SystemID && m.Checkpoint == c.CheckPoint.String()
}

// kept is what the branch's last mount left, as far as it fits the base. A nil one is empty.
type kept struct {
	files map[string]*keptFile // by path
	wal   []string             // the segments that pg_wal is to show
}

// keptFile is a file that was kept, as a tree.File: the base of an overlay.
type keptFile struct {
	path string // on disk
	size int64
}

// Size implements tree.File.
func (k *keptFile) Size() int64 { return k.size }

// ReadAt implements tree.File. It opens the file and closes it again: there may be too many to
// keep them open.
func (k *keptFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	f, err := os.Open(k.path)
	if err != nil {
		return 0, fmt.Errorf("kept file: %v", err) // not %w: that kept files are lost is no ENOENT for a process
	}
	n, err := f.ReadAt(p, off)
	return n, errors.Join(err, f.Close())
}

// CheckKept reads the marker of what the last mount of a branch left in a work directory, without using it:
// fs.ErrNotExist if there is none, a *sidefile.Damage if it is damaged.
func CheckKept(workDir string) error {
	_, err := markerKind.Read(filepath.Join(workDir, keepName, markerName))
	return err
}

// openKept finds what the last mount of a branch of PostgreSQL v left in a work directory. Kept files
// whose marker is damaged are moved aside: only those are used then that fit any state.
func openKept(workDir string, control *pg.ControlFile, v *pg.Version, log *slog.Logger) (*kept, error) {
	dir := filepath.Join(workDir, keepName)
	m, err := markerKind.Read(filepath.Join(dir, markerName))
	var damage *sidefile.Damage
	switch {
	case errors.Is(err, os.ErrNotExist):
		// The last mount may have ended while it replaced the directory.
		if m, err = markerKind.Read(filepath.Join(workDir, keepNew, markerName)); err != nil {
			return &kept{files: map[string]*keptFile{}}, nil // it was not whole
		}
		if err := replaceDir(dir, filepath.Join(workDir, keepNew)); err != nil {
			return nil, err
		}
	case errors.As(err, &damage):
		aside, err := durable.MoveAside(dir)
		if err != nil {
			return nil, fmt.Errorf("move kept files aside: %w", err)
		}
		log.Warn("kept files cannot be used, their marker is damaged", "file", damage.Path, "moved to", aside, "lost", damage.Lost, "err", damage.Err)
		dir = aside
	}
	k := &kept{files: map[string]*keptFile{}}
	fits := m.fits(control)
	if fits {
		k.wal = m.WAL
	}
	root := filepath.Join(dir, keepFiles)
	return k, filepath.WalkDir(root, func(path string, e iofs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(path, root+"/")
		if fits || kindOf(v, rel).keep == keepAlways {
			k.files[rel] = &keptFile{path: path, size: fi.Size()}
		}
		return nil
	})
}

// in lists a directory: the names in it that lead to kept files further down, and its kept files.
func (k *kept) in(dir string) (dirs []string, files map[string]*keptFile) {
	if k == nil {
		return nil, nil
	}
	files = map[string]*keptFile{}
	for path, f := range k.files {
		rest, ok := tree.Below(dir, path)
		name, _, deeper := strings.Cut(rest, "/")
		switch {
		case !ok:
		case deeper:
			dirs = append(dirs, name)
		default:
			files[name] = f
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs), files
}

// segments lists the segments that pg_wal is to show, beside those of the base.
func (k *kept) segments() []string {
	if k == nil {
		return nil
	}
	return k.wal
}

// keepAll keeps the files that the next mount is to find again.
func (t *worktree) keepAll() error {
	control, err := t.stoppedCleanly()
	if err != nil {
		return err
	}
	var added []string
	if control != nil {
		if added, err = t.lastWords(control); err != nil {
			return fmt.Errorf("save pages that only the mount has: %w", err)
		}
	}
	dir := filepath.Join(t.work.Dir, keepNew)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, keepFiles), 0o700); err != nil {
		return err
	}
	m := marker{}
	if control != nil {
		m = marker{Clean: true, SystemID: control.SystemID, Checkpoint: control.CheckPoint.String()}
	}
	k := &keeper{t: t, root: filepath.Join(dir, keepFiles), clean: control != nil, marker: &m}
	if err := k.dir("", t.root); err != nil {
		return err
	}
	for _, name := range added {
		if !slices.Contains(m.WAL, name) {
			m.WAL = append(m.WAL, name)
		}
	}
	if err := k.finish(dir); err != nil {
		return err
	}
	return replaceDir(filepath.Join(t.work.Dir, keepName), dir)
}

// replaceDir replaces dir, which has kept files, by another such directory. After a crash in between
// there is no dir, or one without a marker; openKept then takes the other one.
func replaceDir(dir, by string) error {
	if err := os.Remove(filepath.Join(dir, markerName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return durable.Rename(by, dir)
}
