package pageserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

// streams gives what sends a stream for each archive and one for the manifest, with nothing but their bytes, as servers
// before PostgreSQL 15 do (their perform_base_backup).
func (s *backupSender) streams(ctx context.Context) func() error {
	return func() error {
		for i := range s.info.Archives {
			err := s.copyOut(func() error {
				w := &openArchive{w: archiveWriter{s, ctx}}
				if err := s.b.WriteArchive(ctx, i, w); err != nil {
					return err
				}
				return w.end()
			})()
			if err != nil {
				return err
			}
		}
		if !s.o.Manifest {
			return nil
		}
		return s.copyOut(func() error { return s.b.WriteManifest(archiveWriter{s, ctx}) })()
	}
}

// tarEnd are the two blocks of zeros that a tar archive ends with.
var tarEnd = make([]byte, 1024)

// openArchive passes a tar archive on without tarEnd: servers before PostgreSQL 15 leave these to the client, and
// pg_basebackup 14 would take the first of them for a file without a name.
type openArchive struct {
	w    io.Writer
	held []byte // what may turn out to be the end
}

// Write implements io.Writer.
func (a *openArchive) Write(p []byte) (int, error) {
	a.held = append(a.held, p...)
	if sure := len(a.held) - len(tarEnd); sure > 0 {
		if _, err := a.w.Write(a.held[:sure]); err != nil {
			return 0, err
		}
		a.held = append(a.held[:0], a.held[sure:]...)
	}
	return len(p), nil
}

// end says whether the archive was whole.
func (a *openArchive) end() error {
	if !bytes.Equal(a.held, tarEnd) {
		return fmt.Errorf("archive ends with %d bytes that are not the end of a tar archive", len(a.held))
	}
	return nil
}
