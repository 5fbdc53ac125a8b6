package sidefile

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"zenith/internal/durable"
)

// Kind is a kind of side file, whose content is a T.
type Kind[T any] struct {
	Lost   string         // what goes with a damaged file, for the log: "the settings of a postgres"
	Perm   fs.FileMode    // of a new file
	Format Format         // of the content
	Check  func(*T) error // refuses content that makes no sense; nil: all does
}

// Damage is the error of Read for a file that is there and is not what it should be.
type Damage struct {
	Path string
	Lost string // the Kind's
	Err  error  // what is wrong with it
}

// Error names the file and what is wrong with it.
func (d *Damage) Error() string { return fmt.Sprintf("%s is damaged: %v", d.Path, d.Err) }

// Unwrap gives what is wrong.
func (d *Damage) Unwrap() error { return d.Err }

// Read reads the file at path. An error is fs.ErrNotExist where there is none, else a *Damage.
func (k Kind[T]) Read(path string) (v T, err error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	if err == nil {
		err = k.Format.decode(content, &v)
	}
	if err == nil && k.Check != nil {
		err = k.Check(&v)
	}
	if err != nil {
		return *new(T), &Damage{Path: path, Lost: k.Lost, Err: err}
	}
	return v, nil
}

// Write replaces the file at path, durably. A damaged one is moved aside first, and the log says
// where it is.
func (k Kind[T]) Write(path string, v T, log *slog.Logger) error {
	content, err := k.Format.encode(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	var damage *Damage
	if _, err := k.Read(path); errors.As(err, &damage) {
		aside, err := durable.MoveAside(path)
		if err != nil {
			return fmt.Errorf("move the damaged %s aside: %w", path, err)
		}
		log.Warn("moved a damaged side file aside", "file", path, "to", aside, "err", damage.Err)
	}
	return durable.WriteFile(path, content, k.Perm)
}
