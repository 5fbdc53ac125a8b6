package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
	"golang.org/x/sync/errgroup"
)

// Verify implements Store: it checks the checksum of every block of every table. badger can do that
// whenever it reads a block, but then takes a damaged block for the end of the table, without a
// word, and a compaction would drop what is behind it. So badger is told not to check. Damage to a
// value is found by its reader, since values have checksums of their own; damage to a key is found
// here.
func (s *badgerStore) Verify(ctx context.Context, found func(problem error) error, tell func(done, total int64)) error {
	tables, total, err := s.tables()
	if err != nil {
		return err
	}
	var done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, t := range tables {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			err := s.verifyTable(t.ID)
			if errors.Is(err, ErrCorrupt) {
				err = found(err)
			}
			tell(done.Add(int64(t.OnDiskSize)), total)
			return err
		})
	}
	return g.Wait()
}

// tables lists the store's tables, and gives the sum of their sizes in bytes.
func (s *badgerStore) tables() (all []badger.TableInfo, total int64, err error) {
	defer recovered("list store's tables", &err)
	all = s.db.Tables()
	for _, t := range all {
		total += int64(t.OnDiskSize)
	}
	return all, total, nil
}

func (s *badgerStore) verifyTable(id uint64) (err error) {
	name := filepath.Join(s.dir, table.IDToFilename(id))
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a compaction has replaced the table since it was listed
	}
	if err != nil {
		return err
	}
	err = verifyTable(name, data)
	if errors.Is(err, ErrCorrupt) && !s.lists(id) {
		return nil // likewise: badger empties the file of a table before it removes it
	}
	return err
}

// lists reports whether a table is one of the store's now.
func (s *badgerStore) lists(id uint64) bool {
	all, _, err := s.tables()
	return err != nil || slices.ContainsFunc(all, func(t badger.TableInfo) bool { return t.ID == id })
}

// verifyTable verifies the checksums of all blocks of a table.
func verifyTable(name string, data []byte) (err error) {
	defer faults()()
	defer recovered("store's file "+name, &err)
	t, err := openTable(name, data)
	if err != nil {
		return err
	}
	if err := t.VerifyChecksum(); err != nil {
		return fmt.Errorf("store's file %s: %w: %w", name, ErrCorrupt, err)
	}
	return nil
}

// openTable reads a table's index and its last block, as badger does with each table when it opens
// a store. On damage badger would end the process then, or panic in a goroutine of its own, where
// nobody can recover; openTable returns an error.
func openTable(name string, data []byte) (t *table.Table, err error) {
	defer faults()()
	defer recovered("store's file "+name, &err)
	if _, err := indexStart(data[max(0, len(data)-footerMost):], int64(len(data))); err != nil {
		return nil, fmt.Errorf("store's file %s: %w", name, err)
	}
	id, _ := table.ParseFileID(filepath.Base(name))
	if t, err = table.OpenInMemoryTable(data, id, &table.Options{}); err != nil {
		return nil, fmt.Errorf("store's file %s: %w: %w", name, ErrCorrupt, err)
	}
	return t, nil
}

// footerMost is the most that can be behind a table's index.
const footerMost = 4 + sumMost + 4

// sumMost is the length of a protobuf of one varint, at most.
const sumMost = 11

// indexStart finds where the index of a table of size bytes begins, which ends with tail. It checks the lengths
// behind the index, which badger believes without a look:
//
//	index | its length 4 | its checksum, a protobuf of one varint | that one's length 4
func indexStart(tail []byte, size int64) (int64, error) {
	const sumTag = 0x10
	n := len(tail) - 4
	if n < 0 {
		return 0, fmt.Errorf("it has %d bytes: %w", size, ErrCorrupt)
	}
	sumLen := int(binary.BigEndian.Uint32(tail[n:]))
	if sumLen < 2 || sumLen > sumMost || sumLen+4 > n {
		return 0, fmt.Errorf("its index has a checksum of %d bytes: %w", sumLen, ErrCorrupt)
	}
	n -= sumLen
	if _, used := binary.Uvarint(tail[n+1 : n+sumLen]); tail[n] != sumTag || used != sumLen-1 {
		return 0, fmt.Errorf("its index's checksum is no number: %w", ErrCorrupt)
	}
	n -= 4
	end := size - int64(len(tail)-n)
	length := int64(binary.BigEndian.Uint32(tail[n:]))
	if length > end {
		return 0, fmt.Errorf("its index has %d bytes of %d: %w", length, size, ErrCorrupt)
	}
	return end - length, nil
}

// checkTable opens a table in the way in which badger will open it.
func checkTable(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() == 0 {
		return fmt.Errorf("store's file %s is empty: %w", name, ErrCorrupt)
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map %s: %w", name, err)
	}
	_, err = openTable(name, data)
	return errors.Join(err, syscall.Munmap(data))
}
