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

// BadgerOptions are OpenBadger's options; the zero value works.
type BadgerOptions struct {
	Log      *slog.Logger // default: discards
	MemTable int64        // bytes of a memtable, of which a few may be in memory; default 16 MiB
}

const defaultMemTable = 16 << 20

// Reserve is how many bytes of the Go heap an open store with default options occupies although
// they are not in use: the arena of its memtable. Whoever sets a limit for the heap must add it for
// each open store, or the garbage collector runs all the time.
const Reserve = defaultMemTable + 2*defaultMemTable*15/100

// badgerStore is a Store on badger in its managed mode: the store numbers its writes itself, so
// that a reader need not wait until the writes before it are committed.
type badgerStore struct {
	dir    string
	lock   dirLock
	db     *badger.DB
	read   *badger.Txn   // at the highest number there is: it sees every write
	ts     atomic.Uint64 // the number of the last write
	closed atomic.Bool

	ledger    *ledger
	apartFrom int         // the size from which badger keeps a value in its value log
	apart     atomic.Bool // something went to the value log since the last Sync
	apartEver atomic.Bool // something is in the value log
	syncMu    sync.Mutex
	named     string // guarded by syncMu: the memtables' logs whose names are durable
}

// OpenBadger opens the badger store in dir, and makes it if it is not there. It returns ErrBusy if
// another process has it open, and ErrCorrupt, with the file's name, if one of its files is damaged
// or missing. Nothing is changed then. Beside dir it keeps DIR.inventory and DIR.mark.
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
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	b, err := openLocked(dir, o)
	if err != nil {
		return nil, errors.Join(err, lock.unlock())
	}
	b.lock = lock
	if err := durable.SyncDir(filepath.Dir(dir)); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// openLocked opens the store in a directory that no other process has open.
func openLocked(dir string, o BadgerOptions) (b *badgerStore, err error) {
	v, err := newSurvey(dir, o.Log)
	if err != nil {
		return nil, err
	}
	if err := v.settle(o.Log); err != nil {
		return nil, err
	}
	if err := v.roomToOpen(); err != nil {
		return nil, err
	}
	l, err := v.openLedger()
	if err != nil {
		return nil, err
	}
	defer faults()()
	defer recovered("open store "+dir, &err)
	db, err := openManaged(badgerOptions(dir, o))
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	b = &badgerStore{dir: dir, db: db, ledger: l, apartFrom: valuesApart(o), read: db.NewTransactionAt(math.MaxUint64, false)}
	b.ts.Store(db.MaxVersion())
	b.apartEver.Store(len(v.values) > 0)
	b.apart.Store(len(v.values) > 0)
	if err := b.syncLogs(); err != nil { // a process that was killed may have left what is written and not durable
		return nil, errors.Join(err, db.Close())
	}
	return b, nil
}

// openManaged opens badger, and tries again if badger refuses an empty log. badger makes a log in
// two steps, the file and then its size, and deletes one in the reverse order, so a process that
// dies in between leaves an empty one. The attempt that fails gives the log its size: each empty
// log costs one attempt.
func openManaged(o badger.Options) (db *badger.DB, err error) {
	for range 8 {
		db, err = badger.OpenManaged(o)
		if err == nil || !strings.Contains(err.Error(), "Create a new file") {
			break
		}
	}
	return db, err
}

// badgerOptions were found by measurement, with values of some hundred bytes to 8 KiB that come in
// large sorted batches.
func badgerOptions(dir string, o BadgerOptions) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(badgerLog{o.Log}).
		WithBypassLockGuard(true). // dirLock is ours
		WithMetricsEnabled(false).
		WithDetectConflicts(false). // no transaction here both reads and writes
		WithSyncWrites(false).      // our Sync does that
		WithMemTableSize(o.MemTable).
		WithNumMemtables(2).
		WithBaseTableSize(8 << 20).
		WithBaseLevelSize(128 << 20).
		WithNumCompactors(2).
		WithValueThreshold(int64(valuesApart(o))).
		WithValueLogFileSize(16 << 20).
		WithBloomFalsePositive(0). // iterators do not use bloom filters
		WithCompression(options.None).
		WithBlockCacheSize(0). // uncompressed blocks are read from the kernel's page cache
		WithIndexCacheSize(0)
}

// valuesApart is the size from which badger keeps a value in its value log and not beside its key:
// as large as badger allows.
func valuesApart(o BadgerOptions) int { return int(min(o.MemTable/8, 1<<20)) }

// Sync implements Store. badger's own Sync leaves out memtables that are full and wait to become
// tables, so this one syncs the logs of all memtables by name. badger's is called only if something
// went to the value log: otherwise it would be a flush of the disk for nothing.
func (s *badgerStore) Sync() (err error) {
	if s.closed.Load() {
		return fmt.Errorf("sync store %s: %w", s.dir, ErrClosed)
	}
	defer recovered("sync store", &err)
	return s.syncLogs()
}

// syncLogs makes what is written durable, and notes how much that is: what was there before it began. What others write
// meanwhile is not in the note. A power cut may take it, and a store that has less than was noted is refused.
func (s *badgerStore) syncLogs() error {
	seen, err := s.ledger.look(s.apartEver.Load())
	if err != nil {
		return err
	}
	logs, err := filepath.Glob(filepath.Join(s.dir, "*.mem"))
	if err != nil {
		return err
	}
	for _, name := range logs {
		if err := durable.SyncFile(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sync store: %w", err)
		}
		// A log that is gone became a table, which badger has synced.
	}
	if s.apart.Swap(false) {
		if err := s.db.Sync(); err != nil {
			s.apart.Store(true)
			return fmt.Errorf("sync store: %w", err)
		}
	}
	if err := s.syncNames(strings.Join(logs, " ")); err != nil {
		return err
	}
	return s.ledger.note(seen)
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
	if err := s.ReadyToClose(); err != nil {
		// badger goes on to run, so the lock is kept. The next process reads the logs, as after a crash.
		return fmt.Errorf("leave store %s unclosed: %w", s.dir, err)
	}
	defer func() { err = errors.Join(err, s.lock.unlock()) }()
	defer faults()()
	defer recovered("close store", &err)
	s.read.Discard()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store %s: %w", s.dir, err)
	}
	seen, err := s.ledger.look(s.apartEver.Load()) // badger has synced what it leaves
	if err != nil {
		return err
	}
	return s.ledger.note(seen)
}

// recovered turns a panic of badger, by which it reports damage and use after Close, into an error.
// It must be deferred directly; an error that is there already is kept.
func recovered(doing string, err *error) {
	p := recover()
	if p == nil || *err != nil {
		return
	}
	kind := ErrCorrupt
	if _, fault := p.(interface{ Addr() uintptr }); fault {
		kind = syscall.EIO
	}
	if e, ok := p.(error); ok && errors.Is(e, badger.ErrDBClosed) {
		kind = ErrClosed
	}
	*err = fmt.Errorf("%s: %s: %w", doing, clipped(fmt.Sprint(p)), kind)
}

// clipped makes one line of a panic's text, which is many lines with dumps of memory.
func clipped(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), 200)]
}

// badgerLog passes badger's errors and warnings on, and its information as debug messages.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(f string, a ...any)   { l.log.Error("badger", "msg", line(f, a)) }
func (l badgerLog) Warningf(f string, a ...any) { l.log.Warn("badger", "msg", line(f, a)) }
func (l badgerLog) Infof(f string, a ...any)    { l.log.Debug("badger", "msg", line(f, a)) }
func (l badgerLog) Debugf(string, ...any)       {}

func line(f string, a []any) string { return strings.TrimSpace(fmt.Sprintf(f, a...)) }
