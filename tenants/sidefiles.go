package tenants

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"zenith/internal/durable"
	"zenith/internal/sidefile"
)

// writeSide replaces a side file, and makes the directory that it is in, which only its owner may
// look into, if need be.
func writeSide[T any](kind sidefile.Kind[T], path string, v T, log *slog.Logger) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := kind.Write(path, v, log); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(dir))
}

// warnDamage tells the log which side file is of no use and what was lost with it.
func warnDamage(log *slog.Logger, err error) {
	var d *sidefile.Damage
	if errors.As(err, &d) {
		log.Warn("a side file is damaged; it is kept, and moved aside when a new one is made", "file", d.Path, "lost", d.Lost, "err", d.Err)
	}
}

// sideFilesIn lists a directory of side files; none if it is not there. If it cannot be read, the
// log is told what was lost: the tenant can be used without.
func sideFilesIn(dir, lost string, log *slog.Logger) []os.DirEntry {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("a directory of side files cannot be read", "dir", dir, "lost", lost, "err", err)
	}
	return entries
}
