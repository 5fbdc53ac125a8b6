package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"

	"zenith/internal/durable"
)

// castagnoli is the polynomial of all of badger's checksums, and of ours.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// manifest is badger's MANIFEST: the log of which tables were made and deleted. badger appends a
// change to it, and syncs it, before it deletes what the change has replaced.
//
//	| "Bdgr" | 0 2 | version 2 |  then changes, each:  | length 4 | its CRC-32C 4 | ManifestChangeSet, a protobuf |
//
// All numbers are big endian.
type manifest struct {
	data    []byte              // up to and without the first change that is not whole
	size    int64               // of the file
	live    map[uint64]uint32   // the tables that there should be, and their levels
	deleted map[uint64]struct{} // tables that were made once
	next    uint64              // above the ids of all of them
	flushes []int64             // where the changes end that a memtable's flush has made
}

var manifestHead = []byte{'B', 'd', 'g', 'r', 0, 0, 0, 8}

// errNoManifest is returned when there is none.
var errNoManifest = errors.New("is missing")

// readManifest reads the MANIFEST of the store in dir. A change at the end that is not whole is left
// out; a caller to whom that matters compares data with size.
func readManifest(dir string) (*manifest, error) {
	name := filepath.Join(dir, badger.ManifestFilename)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("store's file %s %w: %w", name, errNoManifest, ErrCorrupt)
	}
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(data)
	if err != nil {
		return nil, fmt.Errorf("store's file %s: %w: %w", name, err, ErrCorrupt)
	}
	return m, nil
}

func parseManifest(data []byte) (*manifest, error) {
	if len(data) < len(manifestHead) || string(data[:len(manifestHead)]) != string(manifestHead) {
		return nil, fmt.Errorf("it does not begin as one of badger's version %d", manifestHead[7])
	}
	m := &manifest{size: int64(len(data)), live: map[uint64]uint32{}, deleted: map[uint64]struct{}{}, next: 1}
	at := len(manifestHead)
	for {
		change, n := nextChange(data[at:])
		if n == 0 {
			m.data = data[:at]
			return m, nil
		}
		at += n
		if err := m.apply(change, int64(at)); err != nil {
			return nil, err
		}
	}
}

// nextChange decodes the change that b begins with, and gives its length: 0 if it is not whole.
func nextChange(b []byte) (*pb.ManifestChangeSet, int) {
	const head = 8
	if len(b) < head {
		return nil, 0
	}
	n := int64(binary.BigEndian.Uint32(b)) + head
	if n > int64(len(b)) || crc32.Checksum(b[head:n], castagnoli) != binary.BigEndian.Uint32(b[4:]) {
		return nil, 0
	}
	var set pb.ManifestChangeSet
	if err := proto.Unmarshal(b[head:n], &set); err != nil {
		return nil, 0
	}
	return &set, int(n)
}

func (m *manifest) apply(set *pb.ManifestChangeSet, end int64) error {
	for _, c := range set.Changes {
		switch c.Op {
		case pb.ManifestChange_CREATE:
			if _, there := m.live[c.Id]; there {
				return fmt.Errorf("table %d is made twice", c.Id)
			}
			m.live[c.Id] = c.Level
			m.next = max(m.next, c.Id+1)
		case pb.ManifestChange_DELETE:
			delete(m.live, c.Id)
			m.deleted[c.Id] = struct{}{}
		}
	}
	if len(set.Changes) == 1 && set.Changes[0].Op == pb.ManifestChange_CREATE && set.Changes[0].Level == 0 {
		m.flushes = append(m.flushes, end)
	}
	return nil
}

// flushedSince counts the memtables that became tables behind an offset of the MANIFEST.
func (m *manifest) flushedSince(offset int64) (n int) {
	for _, end := range m.flushes {
		if end > offset {
			n++
		}
	}
	return n
}

// begins reports whether the MANIFEST is what it was when it had that size and checksum, and more.
func (m *manifest) begins(size int64, sum uint32) bool {
	return size <= int64(len(m.data)) && crc32.Checksum(m.data[:size], castagnoli) == sum
}

// encodeChange encodes one change that makes the tables in levels.
func encodeChange(levels map[uint64]uint32) ([]byte, error) {
	var set pb.ManifestChangeSet
	for _, id := range slices.Sorted(maps.Keys(levels)) {
		set.Changes = append(set.Changes, &pb.ManifestChange{Id: id, Op: pb.ManifestChange_CREATE, Level: levels[id], EncryptionAlgo: pb.EncryptionAlgo_aes})
	}
	body, err := proto.Marshal(&set)
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return append(b, body...), nil
}

// adopt adds tables to the MANIFEST, at level 0, and drops a change at its end that is not whole.
func (m *manifest) adopt(dir string, ids []uint64) error {
	content := slices.Clone(m.data)
	for _, id := range ids {
		change, err := encodeChange(map[uint64]uint32{id: 0})
		if err != nil {
			return err
		}
		content = append(content, change...)
	}
	return durable.WriteFile(filepath.Join(dir, badger.ManifestFilename), content, 0o600)
}

// writeManifest makes a MANIFEST that names tables at their levels.
func writeManifest(dir string, levels map[uint64]uint32) error {
	change, err := encodeChange(levels)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, badger.ManifestFilename), slices.Concat(manifestHead, change), 0o600)
}
