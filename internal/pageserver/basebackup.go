package pageserver

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// baseBackup is SendBaseBackup: a result set with the start, one with the archives, their streams, and a result set with
// the stop.
func baseBackup(ctx context.Context, c *call, src api.ReplicationSource, r *replRequest) error {
	o, err := parseBackupOptions(r.options)
	if err != nil {
		return err
	}
	b, err := src.BaseBackup(ctx, o.BackupOptions)
	if err != nil {
		return err
	}
	defer b.Close()
	s := &backupSender{c: c, b: b, o: o, info: b.Info(), rate: throttle{perSecond: o.maxRate}, dataKind: []byte{'d'}}
	if c.version.OldBaseBackup {
		s.dataKind = nil
		return s.send(s.streams(ctx))
	}
	return s.send(s.stream(ctx))
}

// backupSender sends one backup.
type backupSender struct {
	c    *call
	b    api.Backup
	o    backupRequest
	info api.BackupInfo
	rate throttle

	dataKind []byte // what a message of data begins with

	done     int64     // bytes of the archives, before they were compressed
	reported time.Time // when the client was told last
}

// send sends what all versions have in common, and the archives in between.
func (s *backupSender) send(archives func() error) error {
	if s.info.Note != "" {
		if err := s.c.note(s.info.Note); err != nil {
			return err
		}
	}
	if err := s.position(s.info.Start, s.info.StartTLI); err != nil {
		return err
	}
	if err := s.tablespaces(); err != nil {
		return err
	}
	if err := archives(); err != nil {
		return err
	}
	return s.position(s.info.Stop, s.info.TLI)
}

// stream gives what sends one stream with all archives and the manifest, in messages that say what they are.
func (s *backupSender) stream(ctx context.Context) func() error {
	return s.copyOut(func() error {
		for i := range s.info.Archives {
			if err := s.archive(ctx, i); err != nil {
				return err
			}
		}
		if !s.o.Manifest {
			return nil
		}
		if err := s.c.sendCopyData([]byte{'m'}); err != nil {
			return err
		}
		return s.b.WriteManifest(archiveWriter{s, ctx})
	})
}

// copyOut gives what sends a stream with a content.
func (s *backupSender) copyOut(content func() error) func() error {
	return func() error {
		if err := s.c.send(&pgproto3.CopyOutResponse{}); err != nil {
			return err
		}
		if err := content(); err != nil {
			return err
		}
		return s.c.send(&pgproto3.CopyDone{})
	}
}

// position sends an LSN and the timeline as a result set.
func (s *backupSender) position(at pg.LSN, tli pg.TLI) error {
	return s.result([]column{{"recptr", typeText}, {"tli", typeInt8}}, []any{at.String(), int64(tli)})
}

// tablespaces sends the list of archives: sizes in KiB.
func (s *backupSender) tablespaces() error {
	var rows [][]any
	for _, a := range s.info.Archives {
		var oid, location, size any
		if a.OID != 0 {
			oid, location = strconv.FormatUint(uint64(a.OID), 10), a.Location
		}
		if a.Size >= 0 {
			size = a.Size >> 10
		}
		rows = append(rows, []any{oid, location, size})
	}
	return s.result([]column{{"spcoid", typeOIDOID}, {"spclocation", typeText}, {"size", typeInt8}}, rows...)
}

// result sends a result set.
func (s *backupSender) result(cols []column, rows ...[]any) error {
	r := &reply{c: s.c.conn, cols: cols}
	for _, row := range rows {
		if err := r.row(row...); err != nil {
			return err
		}
	}
	return s.c.send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT")})
}

// archive sends one archive.
func (s *backupSender) archive(ctx context.Context, i int) error {
	a := s.info.Archives[i]
	name := "base.tar"
	if a.OID != 0 {
		name = strconv.FormatUint(uint64(a.OID), 10) + ".tar"
	}
	head := append([]byte{'n'}, name+s.o.compression.suffix+"\x00"+a.Location+"\x00"...)
	if err := s.c.sendCopyData(head); err != nil {
		return err
	}
	z, err := s.o.compression.writer(archiveWriter{s, ctx})
	if err != nil {
		return err
	}
	if err := s.b.WriteArchive(ctx, i, progressWriter{z, s}); err != nil {
		return err // z is not closed: the stream must not look whole
	}
	return errors.Join(z.Close(), s.progress())
}

// archiveWriter sends what is written to it, as it goes over the wire.
type archiveWriter struct {
	s   *backupSender
	ctx context.Context
}

// Write implements io.Writer.
func (w archiveWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if err := w.ctx.Err(); err != nil {
			return 0, err
		}
		part := rest[:min(len(rest), copyChunk)]
		if err := w.s.rate.wait(w.ctx, len(part)); err != nil {
			return 0, err
		}
		if err := w.s.c.sendCopyData(w.s.dataKind, part); err != nil {
			return 0, err
		}
		rest = rest[len(part):]
	}
	return len(p), nil
}

// progressWriter counts what goes into an archive, and tells the client from time to time.
type progressWriter struct {
	io.Writer
	s *backupSender
}

// Write implements io.Writer.
func (w progressWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.s.done += int64(n)
	if err == nil && time.Since(w.s.reported) >= time.Second {
		err = w.s.progress()
	}
	return n, err
}

func (s *backupSender) progress() error {
	s.reported = time.Now()
	return s.c.sendCopyData(binary.BigEndian.AppendUint64([]byte{'p'}, uint64(s.done)))
}

// throttle holds a stream to a rate.
type throttle struct {
	perSecond int64 // bytes; 0: as fast as can be
	began     time.Time
	sent      int64
}

// wait waits until n more bytes may go.
func (t *throttle) wait(ctx context.Context, n int) error {
	if t.perSecond == 0 {
		return nil
	}
	if t.began.IsZero() {
		t.began = time.Now()
	}
	due := t.began.Add(time.Duration(float64(t.sent) / float64(t.perSecond) * float64(time.Second)))
	t.sent += int64(n)
	pause := time.NewTimer(time.Until(due))
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
