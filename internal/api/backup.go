package api

import (
	"context"
	"io"

	"zenith/internal/pg"
)

// BackupOptions are those of BASE_BACKUP that decide what is in the archives.
type BackupOptions struct {
	Label         string
	Fast          bool   // a checkpoint is asked for, if the last one is far behind
	Sizes         bool   // the sizes of the archives must be known before the first byte
	WAL           bool   // the WAL that the backup needs goes into the last archive
	TablespaceMap bool   // a file tablespace_map, in place of links
	Manifest      bool   // a manifest is sent, too
	ForceEncode   bool   // all paths in the manifest are in hexadecimal
	Checksums     string // kind of checksum in the manifest: NONE, CRC32C, SHA224, SHA256, SHA384, SHA512
}

// Backup is a base backup that has begun. Its archives are written one after the other.
type Backup interface {
	io.Closer
	Info() BackupInfo
	// WriteArchive writes archive i as an uncompressed tar stream.
	WriteArchive(ctx context.Context, i int, w io.Writer) error
	// WriteManifest writes the manifest, once all archives are written.
	WriteManifest(w io.Writer) error
}

// BackupInfo describes a base backup.
type BackupInfo struct {
	Start    pg.LSN          // WAL is needed from here
	Stop     pg.LSN          // up to here
	StartTLI pg.TLI          // PostgreSQL's timeline at Start
	TLI      pg.TLI          // and at Stop
	Archives []BackupArchive // the data directory's is the last one
	Note     string          // what whoever starts a server on it should know, in one line; "": nothing
}

// BackupArchive is a tablespace, or the data directory, whose OID is 0.
type BackupArchive struct {
	OID      pg.OID
	Location string
	Size     int64 // in bytes, if it was asked for; or -1
}
