package datadir

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"
	"unicode/utf8"

	"zenith/repo"
)

// checksums are the algorithms of a backup manifest, nil for none.
var checksums = map[string]func() hash.Hash{
	"NONE":   nil,
	"CRC32C": func() hash.Hash { return &crc32c{} },
	"SHA224": sha256.New224,
	"SHA256": sha256.New,
	"SHA384": sha512.New384,
	"SHA512": sha512.New,
}

// crc32c is CRC-32C with its sum in the order of bytes that pg_checksum_final gives: little endian.
type crc32c struct{ sum uint32 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (c *crc32c) Write(p []byte) (int, error) {
	c.sum = crc32.Update(c.sum, castagnoli, p)
	return len(p), nil
}
func (c *crc32c) Sum(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, c.sum) }
func (c *crc32c) Reset()              { c.sum = 0 }
func (c *crc32c) Size() int           { return 4 }
func (c *crc32c) BlockSize() int      { return 1 }

// manifest is a backup_manifest being written (backup_manifest.c).
type manifest struct {
	algorithm string
	newSum    func() hash.Hash
	encode    bool // all paths in hexadecimal
	text      bytes.Buffer
	files     int
}

func newManifest(algorithm string, encode bool) (*manifest, error) {
	newSum, known := checksums[algorithm]
	if !known {
		return nil, fmt.Errorf("checksum algorithm %q: %w", algorithm, repo.ErrInvalid)
	}
	m := &manifest{algorithm: algorithm, newSum: newSum, encode: encode}
	m.text.WriteString("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [")
	return m, nil
}

// manifestFile is a file that is being sent.
type manifestFile struct {
	io.Writer
	m    *manifest
	path string
	size int64
	time time.Time
	sum  hash.Hash // nil for none
}

// file begins a file's entry, which Close adds. What is written to the result goes to w and into
// the file's checksum.
func (m *manifest) file(w io.Writer, path string, size int64, modified time.Time) io.WriteCloser {
	f := &manifestFile{Writer: w, m: m, path: path, size: size, time: modified}
	if m.newSum != nil {
		f.sum = m.newSum()
		f.Writer = io.MultiWriter(w, f.sum)
	}
	return f
}

// Close adds the entry.
func (f *manifestFile) Close() error {
	m := f.m
	if m.files++; m.files > 1 {
		m.text.WriteByte(',')
	}
	path := fmt.Sprintf("\"Encoded-Path\": \"%x\"", f.path)
	if !m.encode && utf8.ValidString(f.path) {
		quoted, err := json.Marshal(f.path)
		if err != nil {
			return err
		}
		path = "\"Path\": " + string(quoted)
	}
	fmt.Fprintf(&m.text, "\n{ %s, \"Size\": %d, \"Last-Modified\": \"%s GMT\"", path, f.size, f.time.UTC().Format(time.DateTime))
	if f.sum != nil {
		fmt.Fprintf(&m.text, ", \"Checksum-Algorithm\": \"%s\", \"Checksum\": \"%s\"", m.algorithm, hex.EncodeToString(f.sum.Sum(nil)))
	}
	m.text.WriteString(" }")
	return nil
}

// writeTo ends the manifest with the WAL that the backup needs and its own checksum, and writes all of it.
func (m *manifest) writeTo(w io.Writer, wal []walRange) error {
	m.text.WriteString("\n],\n\"WAL-Ranges\": [\n")
	for i, r := range wal {
		if i > 0 {
			m.text.WriteString(",\n")
		}
		fmt.Fprintf(&m.text, "{ \"Timeline\": %d, \"Start-LSN\": \"%v\", \"End-LSN\": \"%v\" }", uint32(r.tli), r.start, r.end)
	}
	m.text.WriteString("\n],\n")
	fmt.Fprintf(&m.text, "\"Manifest-Checksum\": \"%x\"}\n", sha256.Sum256(m.text.Bytes()))
	_, err := m.text.WriteTo(w)
	return err
}
