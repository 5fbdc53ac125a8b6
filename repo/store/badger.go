package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"zenith/internal/durable"
)

// BadgerOptions are OpenBadger's.
type BadgerOptions struct {
	Log      *slog.Logger // default: discards
	MemTable int64        // bytes of a memtable, of which a few may be in memory; default 16 MiB
}

const defaultMemTable = 16 << 20

// Reserve is what an open store holds of the Go heap without using it, in bytes: the
// arena of its memtable. Who bounds the heap has to add it.
const Reserve = defaultMemTable + 2*defaultMemTable*15/100

// Free space below which nothing more is written. Badger writes through mapped memory,
// where a full disk is not an error but the process's death.
const (
	reserveBulk  = 128 << 20
	reserveSmall = 32 << 20
)

// badgerStore is a Store on badger, in its managed mode: the store numbers its writes
// itself, so that a reader never waits for a writer.
type badgerStore struct {
	dir    string
	db     *badger.DB
	read   *badger.Txn // sees everything, always
	ts     atomic.Uint64
	closed atomic.Bool

	inline int         // bytes from which badger keeps a value apart, in its value log
	apart  atomic.Bool // such a one was written since the last Sync
	syncMu sync.Mutex
	named  string // the memtables' logs whose names are durable
}

// OpenBadger opens the badger store in dir, making it if it is not there. One process
// can have it open.
func OpenBadger(dir string, o BadgerOptions) (s Store, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MemTable <= 0 {
		o.MemTable = defaultMemTable
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := checkTables(dir); err != nil {
		return nil, err
	}
	defer recovered("open store "+dir, &err)
	db, err := openManaged(badgerOptions(dir, o))
	if err != nil {
		if strings.Contains(err.Error(), "Cannot acquire directory lock") {
			return nil, fmt.Errorf("store %s is in use by another process: %w", dir, ErrBusy)
		}
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	b := &badgerStore{dir: dir, db: db, inline: valuesApart(o), read: db.NewTransactionAt(math.MaxUint64, false)}
	b.ts.Store(db.MaxVersion())
	return b, durable.SyncDir(filepath.Dir(dir))
}

// openManaged opens badger, again where it stumbled over a log without a byte: it makes a log
// in two steps, the file and then its size, and deletes one in the reverse two; the process may die
// in between. The attempt that fails gives that log its size, so each one costs one attempt.
func openManaged(o badger.Options) (db *badger.DB, err error) {
	for range 8 {
		db, err = badger.OpenManaged(o)
		if err == nil || !strings.Contains(err.Error(), "Create a new file") {
			break
		}
	}
	return db, err
}

// badgerOptions are for values of some hundred bytes to 8 KiB that come in big sorted
// batches, by measurement.
func badgerOptions(dir string, o BadgerOptions) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(badgerLog{o.Log}).
		WithMetricsEnabled(false).
		WithDetectConflicts(false). // writers do not read
		WithSyncWrites(false).      // Sync does
		WithMemTableSize(o.MemTable).
		WithNumMemtables(2).
		WithBaseTableSize(8 << 20).
		WithBaseLevelSize(128 << 20).
		WithNumCompactors(2).
		WithValueThreshold(int64(valuesApart(o))).
		WithValueLogFileSize(16 << 20).
		WithBloomFalsePositive(0). // iterators do not use it
		WithCompression(options.None).
		WithBlockCacheSize(0). // without compression, blocks are in the page cache
		WithIndexCacheSize(0)
}

// valuesApart is the size of a value from which badger keeps it apart: as large as badger allows.
func valuesApart(o BadgerOptions) int { return int(min(o.MemTable/8, 1<<20)) }

// next numbers a write. Whatever a newer write replaced may be dropped.
func (s *badgerStore) next() uint64 {
	ts := s.ts.Add(1)
	s.db.SetDiscardTs(ts - 1)
	return ts
}

// Update implements Store.
func (s *badgerStore) Update(ops []Op) (err error) {
	if err := s.room(reserveSmall); err != nil {
		return err
	}
	defer recovered("write to store", &err)
	ts := s.next()
	txn := s.db.NewTransactionAt(ts, true)
	defer txn.Discard()
	for _, op := range ops {
		if op.Value == nil {
			err = txn.Delete(op.Key)
		} else {
			s.note(op.Value)
			err = txn.Set(op.Key, op.Value)
		}
		if err != nil {
			return fmt.Errorf("write to store: %w", err)
		}
	}
	if err := txn.CommitAt(ts, nil); err != nil {
		return fmt.Errorf("write to store: %w", err)
	}
	return nil
}

// note remembers that a value goes to the value log.
func (s *badgerStore) note(value []byte) {
	if len(value) >= s.inline {
		s.apart.Store(true)
	}
}

// Sync implements Store. badger's own would not sync what was written to a memtable
// that is full and waits to become a table, so this syncs the memtables' logs by name; and
// it syncs the value log, which is a flush of the disk for nothing where nothing is in it.
func (s *badgerStore) Sync() (err error) {
	if s.closed.Load() {
		return fmt.Errorf("sync store %s: %w", s.dir, ErrClosed)
	}
	defer recovered("sync store", &err)
	logs, err := filepath.Glob(filepath.Join(s.dir, "*.mem"))
	if err != nil {
		return err
	}
	for _, name := range logs {
		if err := durable.SyncFile(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sync store: %w", err)
		}
		// One that is gone is a table now, which badger synced.
	}
	if s.apart.Swap(false) {
		if err := s.db.Sync(); err != nil {
			s.apart.Store(true)
			return fmt.Errorf("sync store: %w", err)
		}
	}
	return s.syncNames(strings.Join(logs, " "))
}

// syncNames makes the names of the memtables' logs durable, if there are new ones.
func (s *badgerStore) syncNames(names string) error {
	s.syncMu.Lock()
	defer s.syncMu.Unlock()
	if names == s.named {
		return nil
	}
	if err := durable.SyncDir(s.dir); err != nil {
		return err
	}
	s.named = names
	return nil
}

// Close implements Store.
func (s *badgerStore) Close() (err error) {
	if s.closed.Swap(true) {
		return nil
	}
	defer recovered("close store", &err)
	s.read.Discard()
	return s.db.Close()
}

// room reports an error if the disk has less than reserve bytes left.
func (s *badgerStore) room(reserve uint64) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &st); err != nil {
		return fmt.Errorf("store %s: %w", s.dir, err)
	}
	if free := st.Bavail * uint64(st.Bsize); free < reserve {
		return fmt.Errorf("store %s: %d MiB free, want %d: %w", s.dir, free>>20, reserve>>20, syscall.ENOSPC)
	}
	return nil
}

// Bulk implements Store.
func (s *badgerStore) Bulk() BulkWriter {
	return &badgerBulk{s: s, wb: s.db.NewWriteBatchAt(s.next())}
}

type badgerBulk struct {
	s       *badgerStore
	wb      *badger.WriteBatch
	unasked int // bytes written since the last look at the disk
	done    bool
}

func (b *badgerBulk) ask(n int) error {
	if b.unasked += n; b.unasked < 4<<20 {
		return nil
	}
	b.unasked = 0
	return b.s.room(reserveBulk)
}

// Put implements BulkWriter.
func (b *badgerBulk) Put(key, value []byte) (err error) {
	if err := b.ask(len(key) + len(value)); err != nil {
		return err
	}
	defer recovered("write to store", &err)
	b.s.note(value)
	return b.wb.Set(key, value)
}

// Delete implements BulkWriter.
func (b *badgerBulk) Delete(key []byte) (err error) {
	defer recovered("write to store", &err)
	return b.wb.Delete(key)
}

// Flush implements BulkWriter.
func (b *badgerBulk) Flush() (err error) {
	if err := b.s.room(reserveSmall); err != nil {
		return err
	}
	b.done = true
	defer recovered("write to store", &err)
	return b.wb.Flush()
}

// Cancel implements BulkWriter.
func (b *badgerBulk) Cancel() {
	if !b.done {
		b.done = true
		b.wb.Cancel()
	}
}

// Iterator implements Store.
func (s *badgerStore) Iterator(prefix []byte) Iterator {
	it := new(badgerIterator)
	it.open(s.read, prefix)
	return it
}

// badgerIterator turns what badger panics of, damaged tables and a closed store, into an
// error, which Value and Close tell.
type badgerIterator struct {
	it  *badger.Iterator
	err error
}

func (it *badgerIterator) open(txn *badger.Txn, prefix []byte) {
	defer recovered("read store", &it.err)
	it.it = txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
}

// Seek implements Iterator.
func (it *badgerIterator) Seek(key []byte) {
	if it.err == nil {
		defer recovered("read store", &it.err)
		it.it.Seek(key)
	}
}

// Next implements Iterator.
func (it *badgerIterator) Next() {
	if it.Valid() {
		defer recovered("read store", &it.err)
		it.it.Next()
	}
}

// Valid implements Iterator.
func (it *badgerIterator) Valid() bool { return it.err == nil && it.it.Valid() }

// Key implements Iterator.
func (it *badgerIterator) Key() []byte { return it.it.Item().Key() }

// Value implements Iterator.
func (it *badgerIterator) Value() (value []byte, err error) {
	if it.err != nil {
		return nil, it.err
	}
	defer recovered("read store", &err)
	err = it.it.Item().Value(func(v []byte) error {
		value = v // valid until the next move, as Iterator's is
		return nil
	})
	return value, err
}

// Close implements Iterator.
func (it *badgerIterator) Close() error {
	if it.it != nil {
		defer recovered("read store", &it.err)
		it.it.Close()
	}
	return it.err
}

// recovered makes a panic of badger's an error.
func recovered(doing string, err *error) {
	p := recover()
	if p == nil || *err != nil {
		return
	}
	kind := ErrCorrupt
	if e, ok := p.(error); ok && errors.Is(e, badger.ErrDBClosed) {
		kind = ErrClosed
	}
	*err = fmt.Errorf("%s: %s: %w", doing, clipped(fmt.Sprint(p)), kind)
}

// clipped makes one line of what badger says in many, with all that it has in memory.
func clipped(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), 200)]
}

// badgerLog passes on badger's errors and warnings; what it has to say otherwise is for
// debugging.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(f string, a ...any)   { l.log.Error("badger", "msg", line(f, a)) }
func (l badgerLog) Warningf(f string, a ...any) { l.log.Warn("badger", "msg", line(f, a)) }
func (l badgerLog) Infof(f string, a ...any)    { l.log.Debug("badger", "msg", line(f, a)) }
func (l badgerLog) Debugf(string, ...any)       {}

func line(f string, a []any) string { return strings.TrimSpace(fmt.Sprintf(f, a...)) }
