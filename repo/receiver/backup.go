package receiver

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgproto3"

	"zenith/internal/pg"
)

// BackupOptions are BaseBackup's.
type BackupOptions struct {
	Dir      string                               // the data directory to make; it must not exist
	TblspcTo string                               // a directory for the tablespaces' contents, made if there are any
	Own      func(path string) error              // gives a new file or directory its owner; may be nil
	Progress func(what string, done, total int64) // in bytes; may be nil

	// Check refuses a server before anything is fetched; may be nil.
	Check func(v *pg.Version, sysID uint64, tli pg.TLI) error
}

// Backup is a base backup on disk: a data directory with the WAL from Start to Stop, which
// recovery needs to make it consistent.
type Backup struct {
	Start, Stop pg.LSN
	TLI         pg.TLI
	SysID       uint64
	Tablespaces map[pg.OID]string // their locations on the server

	made *Server // on which BaseBackup made the slot that stays; nil: it made none
}

// Abandon drops the replication slot that BaseBackup made, if it made one. It is for a caller
// that will not follow the server after all: the slot would have it keep its WAL for ever.
func (b *Backup) Abandon(ctx context.Context) error {
	if b.made == nil {
		return nil
	}
	return dropSlot(ctx, b.made, b.made.slot)
}

// BaseBackup fetches a base backup with the WAL that it needs. Until its end the server
// keeps that WAL for a slot: the connection string's, which stays, or a temporary one.
func BaseBackup(ctx context.Context, server *Server, o BackupOptions) (b *Backup, err error) {
	c, id, err := server.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if o.Check != nil {
		if err := o.Check(id.version, id.sysID, id.tli); err != nil {
			return nil, err
		}
	}
	slot, temporary := server.slot, server.slot == ""
	if temporary {
		slot = fmt.Sprintf("zenith_%d", c.pc.PID())
	}
	made, err := c.makeSlot(ctx, slot, temporary)
	if err != nil {
		return nil, err
	}
	f := &fetch{c: c, o: o, old: id.version.OldBaseBackup, b: &Backup{TLI: id.tli, SysID: id.sysID, Tablespaces: map[pg.OID]string{}}}
	if made && !temporary {
		f.b.made = server
	}
	if err := f.run(ctx); err != nil {
		c.close() // the slot cannot be dropped while a connection uses it
		return nil, errors.Join(fmt.Errorf("base backup: %w", err), f.b.Abandon(ctx))
	}
	return f.b, nil
}

// dropSlot drops a slot over a connection of its own.
func dropSlot(ctx context.Context, server *Server, slot string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
	defer cancel()
	c, _, err := server.dial(ctx)
	if err != nil {
		return fmt.Errorf("drop replication slot %s: %w", slot, err)
	}
	defer c.close()
	if _, err := c.query(ctx, fmt.Sprintf("DROP_REPLICATION_SLOT %q WAIT", slot)); err != nil {
		return fmt.Errorf("drop replication slot %s: %w", slot, err)
	}
	return nil
}

// The command for a base backup, and the one of servers before PostgreSQL 15.
const (
	backupCommand    = "BASE_BACKUP (LABEL 'zenith', PROGRESS, CHECKPOINT 'fast', WAL, WAIT 'false', MANIFEST 'no')"
	oldBackupCommand = "BASE_BACKUP LABEL 'zenith' PROGRESS FAST WAL NOWAIT MANIFEST 'no'"
)

// fetch is a base backup on its way. The server answers with the start, the list of
// tablespaces, one stream that holds all archives, and the stop. Servers before PostgreSQL 15
// send a stream for each archive, in the order of the list, which has nothing but the archive.
type fetch struct {
	c *conn
	o BackupOptions
	b *Backup

	old   bool     // the server is one before PostgreSQL 15
	names []string // of archives whose streams are still to come; if old

	results     int // how many result sets have begun
	rows        [][]string
	done, total int64
	archive     *archive // the one that is being unpacked; nil between two
}

func (f *fetch) run(ctx context.Context) (err error) {
	command := backupCommand
	if f.old {
		command = oldBackupCommand
	}
	if err := f.c.send(command); err != nil {
		return err
	}
	defer func() {
		if f.archive != nil {
			err = errors.Join(err, f.archive.abort())
		}
	}()
	for {
		msg, err := f.c.receive(ctx)
		if err != nil {
			return err
		}
		switch m := msg.(type) {
		case *pgproto3.RowDescription:
			f.results, f.rows = f.results+1, nil
		case *pgproto3.DataRow:
			f.rows = append(f.rows, texts(m))
		case *pgproto3.CommandComplete:
			err = f.result()
		case *pgproto3.CopyOutResponse:
			if err = f.result(); err == nil && f.old {
				err = f.nextArchive()
			}
		case *pgproto3.CopyData:
			err = f.data(m.Data)
		case *pgproto3.CopyDone:
			err = f.endArchive()
		case *pgproto3.ReadyForQuery:
			if f.b.Stop == 0 {
				return fmt.Errorf("it has no end: %w", errProtocol)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// The result sets, by their numbers.
const (
	resultStart = 1 + iota
	resultTablespaces
	resultStop
)

// result uses the rows of a result set that is complete.
func (f *fetch) result() (err error) {
	rows := f.rows
	f.rows = nil
	if len(rows) == 0 {
		return nil
	}
	switch f.results {
	case resultStart:
		f.b.Start, err = pg.ParseLSN(rows[0][0])
	case resultStop:
		f.b.Stop, err = pg.ParseLSN(rows[0][0])
	case resultTablespaces:
		err = f.tablespaces(rows)
	}
	return err
}

// tablespaces uses the list of archives: a tablespace's oid, location and size in KiB, and only
// the size for the data directory.
func (f *fetch) tablespaces(rows [][]string) error {
	for _, r := range rows {
		if len(r) < 3 {
			return fmt.Errorf("a tablespace of %d columns: %w", len(r), errProtocol)
		}
		if kb, err := strconv.ParseInt(r[2], 10, 64); err == nil {
			f.total += kb << 10
		}
		if r[0] == "" {
			f.names = append(f.names, baseArchive)
			continue
		}
		f.names = append(f.names, r[0]+archiveEnding)
		oid, err := strconv.ParseUint(r[0], 10, 32)
		if err != nil {
			return fmt.Errorf("tablespace %q: %w", r[0], errProtocol)
		}
		f.b.Tablespaces[pg.OID(oid)] = r[1]
	}
	return nil
}

// The messages within the archives' stream.
const (
	msgArchive  = 'n'
	msgManifest = 'm'
	msgData     = 'd'
	msgProgress = 'p'
)

// nextArchive begins the archive whose stream begins.
func (f *fetch) nextArchive() error {
	if len(f.names) == 0 {
		return fmt.Errorf("a stream of no archive: %w", errProtocol)
	}
	name := f.names[0]
	f.names = f.names[1:]
	return f.beginArchive(name)
}

// archiveData takes a piece of the archive.
func (f *fetch) archiveData(b []byte) error {
	if f.archive == nil {
		return fmt.Errorf("data of no archive: %w", errProtocol)
	}
	f.done += int64(len(b))
	return f.archive.write(b)
}

// data acts on one message of a stream.
func (f *fetch) data(b []byte) error {
	if f.old {
		err := f.archiveData(b)
		f.progress(f.done)
		return err
	}
	if len(b) == 0 {
		return fmt.Errorf("an empty message: %w", errProtocol)
	}
	switch kind, body := b[0], b[1:]; kind {
	case msgArchive:
		if err := f.endArchive(); err != nil {
			return err
		}
		name, _, _ := bytes.Cut(body, []byte{0})
		return f.beginArchive(string(name))
	case msgData:
		return f.archiveData(body)
	case msgProgress:
		if len(body) == 8 {
			f.progress(int64(binary.BigEndian.Uint64(body)))
		}
		return nil
	case msgManifest:
		return fmt.Errorf("a manifest, which was not asked for: %w", errProtocol)
	default:
		return fmt.Errorf("a message of kind %q: %w", kind, errProtocol)
	}
}

// progress tells how many bytes of the backup have come.
func (f *fetch) progress(done int64) {
	if f.o.Progress != nil {
		f.o.Progress("base backup", done, max(f.total, f.done))
	}
}
