package datadir

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"zenith/internal/pg"
	"zenith/internal/tree"
)

// ExportOptions are ExportTar's.
type ExportOptions struct {
	SkipRelations bool                                 // leave out the data of users' relations
	Files         map[string][]byte                    // the contents of files, by path, that are not to be as the state has them
	Progress      func(what string, done, total int64) // in bytes; may be nil
}

// ExportTar writes a data directory as a tar stream, which it does not close. Extracted by root, the
// files go to user postgres.
func ExportTar(ctx context.Context, from *View, w *tar.Writer, o ExportOptions) error {
	return export(ctx, from, &tarSink{w: w, time: from.ModTime()}, o)
}

// sink takes what is exported: each directory comes before its content.
type sink interface {
	mkdir(path string) error
	create(path string, size int64) (io.WriteCloser, error)
}

// exporter writes the files of a tree to a sink.
type exporter struct {
	from  *View
	sink  sink
	o     ExportOptions
	skip  func(path string, entry tree.Entry) bool // whether to leave an entry out, and what is below it
	done  int64
	total int64
	read  *reader
}

func newExporter(from *View, s sink, o ExportOptions, skip func(string, tree.Entry) bool) *exporter {
	return &exporter{from: from, sink: s, o: o, skip: skip, read: newReader()}
}

func export(ctx context.Context, from *View, s sink, o ExportOptions) error {
	e := newExporter(from, s, o, func(path string, _ tree.Entry) bool { return o.SkipRelations && from.isUserRelation(path) })
	if o.Progress != nil {
		var err error
		if e.total, err = e.size(ctx, ""); err != nil {
			return err
		}
	}
	if err := s.mkdir(""); err != nil {
		return err
	}
	return e.entries(ctx, "")
}

// size gives the number of bytes in the files below dir that are to be exported.
func (e *exporter) size(ctx context.Context, dir string) (total int64, err error) {
	err = e.walk(ctx, dir, func(_ string, entry tree.Entry) error {
		if !entry.Dir {
			total += entry.File.Size()
		}
		return nil
	})
	return total, err
}

// entries writes everything below dir.
func (e *exporter) entries(ctx context.Context, dir string) error {
	return e.walk(ctx, dir, func(path string, entry tree.Entry) error {
		if entry.Dir {
			return e.sink.mkdir(path)
		}
		if err := e.file(ctx, path, entry.File); err != nil {
			return fmt.Errorf("export %s: %w", path, err)
		}
		return nil
	})
}

// walk calls fn with everything below dir that is to be exported.
func (e *exporter) walk(ctx context.Context, dir string, fn func(path string, entry tree.Entry) error) error {
	met := map[string]bool{}
	err := tree.Walk(ctx, e.from, dir, func(path string, entry tree.Entry) error {
		if e.skip(path, entry) {
			return tree.Skip
		}
		if content, ok := e.o.Files[path]; ok {
			met[path], entry.File = true, bytesFile(content)
		}
		return fn(path, entry)
	})
	if err != nil || dir != "" {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(e.o.Files)) {
		if met[path] {
			continue
		}
		_, name := tree.Split(path)
		if err := fn(path, tree.Entry{Name: name, File: bytesFile(e.o.Files[path])}); err != nil {
			return err
		}
	}
	return nil
}

// isUserRelation tells relations that initdb did not make.
func (v *View) isUserRelation(path string) bool {
	p := v.version.ParsePath(path)
	return p.Kind == pg.PathRelation && p.Fork.RelNumber >= pg.FirstNormalObjectID
}

// file copies one file.
func (e *exporter) file(ctx context.Context, path string, f tree.File) (err error) {
	w, err := e.sink.create(path, f.Size())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	return e.read.each(ctx, f, func(part []byte) error {
		if _, err := w.Write(part); err != nil {
			return err
		}
		e.done += int64(len(part))
		if e.o.Progress != nil {
			e.o.Progress("export", e.done, e.total)
		}
		return nil
	})
}

// bytes writes a file with the given content.
func (e *exporter) bytes(ctx context.Context, path string, content []byte) error {
	return e.file(ctx, path, bytesFile(content))
}

// tarSink writes a tar stream.
type tarSink struct {
	w    *tar.Writer
	time time.Time
}

func (s *tarSink) mkdir(path string) error {
	if path == "" {
		return nil
	}
	return s.w.WriteHeader(&tar.Header{
		Typeflag: tar.TypeDir, Name: path + "/", Mode: 0o700, ModTime: s.time, Uname: "postgres", Gname: "postgres",
	})
}

func (s *tarSink) create(path string, size int64) (io.WriteCloser, error) {
	err := s.w.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: path, Size: size, Mode: 0o600, ModTime: s.time, Uname: "postgres", Gname: "postgres",
	})
	return tarFile{s.w}, err
}

// tarFile is one file of a tar stream: the next header ends it.
type tarFile struct{ io.Writer }

func (tarFile) Close() error { return nil }
