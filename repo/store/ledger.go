package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"zenith/internal/durable"
)

// ledger keeps the inventory and the mark of an open store.
type ledger struct {
	dir   string
	ranks map[string]int // markedLog.Rank by name, of the memtables' logs that were there when the store was opened
	first int            // the number of the first log that was made since

	mu       sync.Mutex
	inv      *inventory
	mark     mark
	manifest os.FileInfo         // of the MANIFEST when the inventory was written
	written  bool                // the mark was, since the store was opened
	known    map[string]logState // what was seen of the logs
	anew     bool                // badger has written the MANIFEST anew: what its flushes were is not known
}

// openLedger is called when the store is settled, before badger opens it.
func (v *survey) openLedger() (*ledger, error) {
	l := &ledger{dir: v.dir, ranks: map[string]int{}, first: 1, inv: v.inv, known: map[string]logState{}}
	l.mark.Seq = v.mark.Seq
	for _, name := range v.mems {
		l.first = max(l.first, logNumber(name)+1)
		log, err := scanLog(v.dir, logState{Name: name})
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if log.Whole > logHead { // badger removes one without entries
			l.ranks[name] = len(l.ranks)
		}
	}
	st, err := os.Stat(filepath.Join(v.dir, badger.ManifestFilename))
	if err == nil {
		l.mark.Opened = st.Size()
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return l, err
}

// look finds out what is written in the logs of memtables, and in those of values if values is set. The caller syncs
// the logs then, and calls note. What others write meanwhile may be durable or not, so it must not be in the mark.
func (l *ledger) look(values bool) (seen []markedLog, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seen, err = l.lookAt(values); err != nil {
		return nil, fmt.Errorf("look at the logs of store %s: %w", l.dir, err)
	}
	return seen, nil
}

// note brings the inventory and the mark up to date. What was seen in the logs must be durable.
func (l *ledger) note(seen []markedLog) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.noteTables(); err != nil {
		return fmt.Errorf("note tables of store %s: %w", l.dir, err)
	}
	if err := l.noteLogs(seen); err != nil {
		return fmt.Errorf("note logs of store %s: %w", l.dir, err)
	}
	return nil
}

func (l *ledger) noteTables() error {
	name := filepath.Join(l.dir, badger.ManifestFilename)
	st, err := os.Stat(name)
	if err != nil {
		return err
	}
	if l.manifest != nil {
		if !os.SameFile(l.manifest, st) {
			if err := l.forgetFlushes(); err != nil {
				return err
			}
		} else if l.manifest.Size() == st.Size() {
			return nil
		}
	}
	m, err := readManifest(l.dir)
	if err != nil {
		return err
	}
	inv, err := takeInventory(l.dir, m, l.inv)
	if err != nil {
		return err
	}
	inv.Opened = l.mark.Opened
	if !l.anew {
		inv.Flushed = m.flushedSince(inv.Opened)
	}
	if l.inv == nil || inv.Size != l.inv.Size || inv.Sum != l.inv.Sum {
		// The inventory must not be ahead of what it is a copy of.
		if err := durable.SyncFile(name); err != nil {
			return err
		}
		if err := inv.write(l.dir); err != nil {
			return err
		}
	}
	l.inv, l.manifest = inv, st
	return nil
}

// forgetFlushes is called when badger has written the MANIFEST anew, where its flushes cannot be counted any more: the
// mark must not name logs of memtables from now on. It is durable before the inventory knows the new MANIFEST.
func (l *ledger) forgetFlushes() error {
	if l.anew {
		return nil
	}
	next := mark{Seq: l.mark.Seq + 1, Opened: l.mark.Opened}
	for _, log := range l.mark.Logs {
		if filepath.Ext(log.Name) == valueSuffix {
			next.Logs = append(next.Logs, log)
		}
	}
	if err := next.write(l.dir); err != nil {
		return err
	}
	if err := durable.SyncFile(markPath(l.dir)); err != nil {
		return err
	}
	l.mark, l.anew = next, true
	return nil
}

func (l *ledger) lookAt(values bool) (seen []markedLog, err error) {
	names, err := listLogs(l.dir, memSuffix)
	if err != nil {
		return nil, err
	}
	if values {
		logs, err := listLogs(l.dir, valueSuffix)
		if err != nil {
			return nil, err
		}
		names = append(names, logs...)
	}
	known := map[string]logState{}
	for _, name := range names {
		rank, ok := l.rank(name)
		if !ok {
			continue
		}
		log := l.known[name]
		log.Name = name
		log, err := scanLog(l.dir, log)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it became a table
		}
		if err != nil {
			return nil, err
		}
		known[name] = log
		seen = append(seen, markedLog{log, rank})
	}
	l.known = known
	return seen, nil
}

func (l *ledger) noteLogs(seen []markedLog) error {
	next := mark{Seq: l.mark.Seq + 1, Opened: l.mark.Opened}
	for _, log := range seen {
		if !l.anew || filepath.Ext(log.Name) == valueSuffix {
			next.Logs = append(next.Logs, log)
		}
	}
	if l.written && slices.Equal(next.Logs, l.mark.Logs) {
		return nil
	}
	l.mark, l.written = next, true
	return next.write(l.dir)
}

// rank gives the rank of a log: see mark. It reports false for one that badger is about to remove.
func (l *ledger) rank(name string) (int, bool) {
	if filepath.Ext(name) == valueSuffix {
		return -1, true
	}
	if n := logNumber(name); n >= l.first {
		return len(l.ranks) + n - l.first, true
	}
	rank, ok := l.ranks[name]
	return rank, ok
}
