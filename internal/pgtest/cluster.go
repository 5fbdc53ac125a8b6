package pgtest

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"zenith/internal/pg"
)

// The stored cluster is a small one that PostgreSQL 15 made and stopped, for tests that need
// a data directory and WAL but no server: testdata/cluster.tar.gz. It has one database,
// template1, without information_schema, WAL segments of 1 MiB, data checksums, and a table
// t(a int primary key, b text). What a server wrote on it afterwards, until it was stopped at
// once, is testdata/cluster.wal.gz: WAL from the start of the segment with the cluster's last
// checkpoint to its end. `make testdata` records both anew.

//go:embed testdata/cluster.tar.gz
var clusterArchive []byte

//go:embed testdata/cluster.wal.gz
var clusterWAL []byte

// ClusterSegSize is the size of the stored cluster's WAL segments in bytes.
const ClusterSegSize = 1 << 20

// UnpackCluster writes the stored cluster into dir, which must be there and empty. The files
// belong to the caller's account.
func UnpackCluster(dir string) error {
	archive, err := gzip.NewReader(bytes.NewReader(clusterArchive))
	if err != nil {
		return fmt.Errorf("unpack the stored cluster: %w", err)
	}
	if err := unpack(dir, archive, -1, -1); err != nil {
		return fmt.Errorf("unpack the stored cluster: %w", err)
	}
	return nil
}

// ClusterWAL gives the WAL that a server wrote on the stored cluster: wal begins at start, which is the start
// of a segment, and ends with the last record.
func ClusterWAL(tb testing.TB) (start pg.LSN, wal []byte) {
	tb.Helper()
	r, err := gzip.NewReader(bytes.NewReader(clusterWAL))
	if err == nil {
		wal, err = io.ReadAll(r)
	}
	if err != nil {
		tb.Fatalf("unpack the stored cluster's WAL: %v", err)
	}
	return pg.LSN(binary.LittleEndian.Uint64(wal[8:])), wal // xlp_pageaddr of the first page's header
}
