package receiver

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"zenith/internal/pg"
)

// archive is one tar archive that is being unpacked by a goroutine of its own.
type archive struct {
	w    *io.PipeWriter
	done chan error
}

const (
	baseArchive   = "base.tar"
	archiveEnding = ".tar"
)

// beginArchive begins to unpack the archive of that name into the data directory, or into the
// directory of a tablespace.
func (f *fetch) beginArchive(name string) error {
	to := f.o.Dir
	if name != baseArchive {
		var err error
		if to, err = f.tablespaceDir(strings.TrimSuffix(name, archiveEnding)); err != nil {
			return err
		}
	}
	u := unpacker{dir: to, own: f.o.Own}
	if err := u.mkdir(to); err != nil {
		return err
	}
	r, w := io.Pipe()
	f.archive = &archive{w: w, done: make(chan error, 1)}
	go func(done chan<- error) {
		err := u.unpack(r)
		r.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // a write behind the end must fail, not block
		done <- err
	}(f.archive.done)
	return nil
}

// tablespaceDir makes the directory for a tablespace's contents and the link to it in the data
// directory. So recovery changes the tablespace there, and not where the server has it.
func (f *fetch) tablespaceDir(name string) (string, error) {
	oid, err := strconv.ParseUint(name, 10, 32)
	if _, known := f.b.Tablespaces[pg.OID(oid)]; err != nil || !known {
		return "", fmt.Errorf("archive %q is of no tablespace: %w", name, errProtocol)
	}
	u := unpacker{own: f.o.Own}
	links := filepath.Join(f.o.Dir, "pg_tblspc")
	for _, dir := range []string{f.o.TblspcTo, f.o.Dir, links} {
		if err := u.mkdir(dir); err != nil {
			return "", err
		}
	}
	to := filepath.Join(f.o.TblspcTo, name)
	return to, os.Symlink(to, filepath.Join(links, name))
}

// endArchive waits until the archive, if there is one, is unpacked.
func (f *fetch) endArchive() error {
	a := f.archive
	if a == nil {
		return nil
	}
	f.archive = nil
	return errors.Join(a.w.Close(), <-a.done)
}

// write passes bytes to the goroutine that unpacks the archive. It blocks while that one is
// behind.
func (a *archive) write(b []byte) error {
	_, err := a.w.Write(b)
	return err
}

// abort ends the unpacking before the archive's end.
func (a *archive) abort() error {
	err := a.w.CloseWithError(io.ErrUnexpectedEOF)
	if uerr := <-a.done; !errors.Is(uerr, io.ErrUnexpectedEOF) {
		err = errors.Join(err, uerr)
	}
	return err
}

// unpacker makes files of an archive's members.
type unpacker struct {
	dir string
	own func(path string) error
}

func (u unpacker) unpack(r io.Reader) error {
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, r) // what pads the archive
			return err
		}
		if err != nil {
			return err
		}
		if err := u.member(h, in); err != nil {
			return fmt.Errorf("unpack %s: %w", h.Name, err)
		}
	}
}

// member makes the file or directory of one member. Links are left out: tablespaceDir makes those
// in pg_tblspc.
func (u unpacker) member(h *tar.Header, content io.Reader) error {
	name := filepath.Clean(h.Name)
	if !filepath.IsLocal(name) {
		return fmt.Errorf("it lies outside: %w", errProtocol)
	}
	to := filepath.Join(u.dir, name)
	switch h.Typeflag {
	case tar.TypeDir:
		return u.mkdir(to)
	case tar.TypeReg:
		return u.file(to, content)
	}
	return nil
}

// mkdir makes a directory, unless it is there.
func (u unpacker) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o700); errors.Is(err, os.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return u.give(dir)
}

func (u unpacker) file(path string, content io.Reader) error {
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, content)
	return errors.Join(err, to.Close(), u.give(path))
}

func (u unpacker) give(path string) error {
	if u.own == nil {
		return nil
	}
	return u.own(path)
}
