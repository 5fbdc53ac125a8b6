package pgtest

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Unpack puts a data directory that comes as a tar archive in place of s's. write is called once and writes
// the archive's entries; it does not close the archive. The files belong to the account that runs postgres.
// s must not run.
func (s *Server) Unpack(tb testing.TB, write func(*tar.Writer) error) {
	tb.Helper()
	uid, gid := Owner(tb)
	err := os.RemoveAll(s.Dir)
	if err == nil {
		err = os.Mkdir(s.Dir, 0o700)
	}
	if err == nil {
		err = os.Lchown(s.Dir, uid, gid)
	}
	if err != nil {
		tb.Fatal(err)
	}
	pr, pw := io.Pipe()
	written := make(chan error, 1)
	go func() {
		w := tar.NewWriter(pw)
		err := errors.Join(write(w), w.Close())
		pw.CloseWithError(err)
		written <- err
	}()
	err = unpack(s.Dir, pr, uid, gid)
	pr.CloseWithError(err) // or write would wait for ever for a reader
	if err := errors.Join(err, <-written); err != nil {
		tb.Fatalf("unpack a data directory: %v", err)
	}
}

// unpack reads an archive to the end of its stream and writes its directories and files below dir.
func unpack(dir string, r io.Reader, uid, gid int) error {
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, r) // the zeros that end an archive
			return err
		}
		if err != nil {
			return err
		}
		name := filepath.Join(dir, h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.Mkdir(name, h.FileInfo().Mode().Perm())
		case tar.TypeReg:
			err = unpackFile(name, h, archive)
		default:
			err = fmt.Errorf("%s is of type %q", h.Name, h.Typeflag)
		}
		if err == nil {
			err = os.Lchown(name, uid, gid)
		}
		if err != nil {
			return err
		}
	}
}

func unpackFile(name string, h *tar.Header, r io.Reader) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, h.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
