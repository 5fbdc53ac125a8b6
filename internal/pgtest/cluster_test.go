package pgtest_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/pgtest"
	"zenith/internal/xlog"
)

var update = flag.Bool("update", false, "record the stored cluster anew")

// before is what the stored cluster holds, after what its WAL does.
var before = []string{
	"UPDATE pg_database SET datistemplate = false WHERE datname = 'template0'",
	"DROP DATABASE template0",
	"DROP DATABASE postgres",
	"DROP SCHEMA information_schema CASCADE",
	"CREATE TABLE t (a int PRIMARY KEY, b text)",
	"INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 300) g",
	"VACUUM FULL",
	"CHECKPOINT",
}

var after = []string{
	"INSERT INTO t SELECT g, 'more ' || g FROM generate_series(301, 900) g",
	"UPDATE t SET b = 'changed' WHERE a % 10 = 0",
	"BEGIN; DELETE FROM t WHERE a > 100; ROLLBACK",
	"CREATE TABLE u (a int)",
	"INSERT INTO u VALUES (1), (2)",
	"CHECKPOINT",
	"DELETE FROM t WHERE a > 600",
	"VACUUM t",
	"DROP TABLE u",
	"INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1000, 1300) g",
	"TRUNCATE t",
	"INSERT INTO t VALUES (1, 'last')",
}

// TestUpdateFixtures is what `make testdata` runs.
func TestUpdateFixtures(t *testing.T) {
	if !*update {
		t.Skip("records the stored cluster anew, with -update")
	}
	srv := pgtest.Init(t, pgtest.Options{
		InitArgs: []string{"--data-checksums", "--wal-segsize=1"}, Config: []string{"wal_keep_size=1GB"}, // the checkpoint of after removes no WAL
	})
	srv.Start(t)
	for _, sql := range before {
		srv.Run(t, "psql", "-Xqd", "template1", "-c", sql)
	}
	srv.Stop(t, pgtest.Fast)
	at := srv.Control(t).CheckPoint
	store(t, "cluster.tar.gz", archive(t, srv.Dir, xlog.SegmentName(1, at, pgtest.ClusterSegSize)))

	later := srv.Copy(t)
	later.Start(t)
	for _, sql := range after {
		later.Run(t, "psql", "-Xqd", "template1", "-c", sql)
	}
	later.Stop(t, pgtest.Immediate)
	store(t, "cluster.wal.gz", walFrom(t, later.WAL(t), at))
}

// store writes a gzipped file of testdata.
func store(t *testing.T, name string, content []byte) {
	t.Helper()
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(content)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", name), out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d bytes, %d unpacked", name, out.Len(), len(content))
}

// archive packs a data directory, without caches, and of its WAL only the segment of that name.
func archive(t *testing.T, dir, segment string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.Name() == "pg_internal.init" || d.Name() == "postmaster.opts" ||
			strings.HasPrefix(name, "pg_wal/0") && d.Name() != segment {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		h := &tar.Header{Name: name, Mode: int64(info.Mode().Perm())}
		if d.IsDir() {
			h.Typeflag = tar.TypeDir
			return w.WriteHeader(h)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		h.Typeflag, h.Size = tar.TypeReg, int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// walFrom gives WAL from the start of the segment of checkpoint to the end of the last record.
func walFrom(t *testing.T, wal pgtest.WALDir, checkpoint pg.LSN) []byte {
	t.Helper()
	end := checkpoint
	var rec xlog.Record
	for rd := wal.Reader(checkpoint); ; end = rec.EndLSN {
		err := rd.Next(&rec)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	start := checkpoint &^ (pgtest.ClusterSegSize - 1)
	b := make([]byte, end-start)
	if err := xlog.ReadFull(wal, b, start); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestStoredCluster sees that the stored cluster and its WAL are what they are said to be.
func TestStoredCluster(t *testing.T) {
	dir := t.TempDir()
	if err := pgtest.UnpackCluster(dir); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "global/pg_control"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := pg.ParseControlFile(b)
	if err != nil {
		t.Fatal(err)
	}
	if c.State != pg.DBShutdowned || c.SegSize != pgtest.ClusterSegSize || c.ChecksumVersion == 0 {
		t.Errorf("control file: state %v, segments of %d bytes, checksums %d", c.State, c.SegSize, c.ChecksumVersion)
	}
	start, wal := pgtest.ClusterWAL(t)
	if first := c.CheckPoint &^ (pgtest.ClusterSegSize - 1); start != first {
		t.Errorf("the WAL begins at %v, want %v", start, first)
	}
	stored, err := os.ReadFile(filepath.Join(dir, "pg_wal", xlog.SegmentName(1, start, pgtest.ClusterSegSize)))
	if err != nil {
		t.Fatal(err)
	}
	if upTo := int(c.CheckPoint - start); !bytes.Equal(stored[:upTo], wal[:upTo]) {
		t.Error("the WAL is not that of the cluster")
	}
}
