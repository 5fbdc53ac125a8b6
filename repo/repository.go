package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo/store"
)

// RedoFunc applies rec to page, which is the page tag before rec. walredo.Redo is one. It must be
// pure: many goroutines call it at once. An error that is not an ErrCorrupt means that it does not
// know the record.
type RedoFunc func(page pg.Page, tag pg.BufferTag, rec *xlog.Record) error

// Options are Open's options.
type Options struct {
	Dir    string       // the tenant's directory: holds store/ and timelines/
	Redo   RedoFunc     // required
	Log    *slog.Logger // default: discards
	Memory *Memory      // shared by the repositories of a process; default: one of its own
	Cache  int64        // bytes of rebuilt pages to keep; default 32 MiB
	Store  store.Store  // default: badger in Dir/store. Open owns it from then on
	Meters *Meters      // shared by the repositories of a process; default: one of its own
}

const defaultCache = 32 << 20

// StoreDir is the directory of the store in that of a tenant.
const StoreDir = "store"

// Repository is the history of one tenant: its timelines, and every version of
// every page in them. It is safe for concurrent use.
type Repository struct {
	dir   string
	redo  RedoFunc
	log   *slog.Logger
	store store.Store
	mem   *Memory
	cache *pageCache

	meters *Meters

	mu     sync.RWMutex
	byID   map[TimelineID]*Timeline
	byName map[string]*Timeline
	names  map[string]bool // the names and ids of timelines that are being made
	nextNo timelineNo
	tags   map[string]tag         // by their names
	kept   map[TimelineID]keptRow // deleted branches that can be brought back
	// readsDeleted says that a check reads the deleted branches: see ReadDeleted.
	readsDeleted bool
	gone         map[timelineNo]gone // the gone timelines of which the store may have versions

	pinMu      sync.Mutex    // guards horizons and pins; taken before mu
	leasing    sync.Mutex    // held while a lease is stored
	collecting chan struct{} // has a token; a collection takes it
	// Whoever reads a chain holds reading shared. A collection takes it alone before it deletes the
	// ends of chains, and adds one to epoch: see Collect.
	reading sync.RWMutex
	epoch   atomic.Uint64

	closing   chan struct{} // closed when Close begins: a collection ends
	done      chan struct{} // closed when Close has sealed all windows: nobody can take a turn any more
	closeOnce sync.Once
	closeErr  error

	stopFlusher context.CancelFunc // of the packer too
	flusherDone chan struct{}
	kick        chan struct{} // capacity 1: there is a job in the queue
	queueMu     sync.Mutex
	queue       []flushJob

	packerDone chan struct{}
	cold       chan struct{} // capacity 1: more WAL may be cold
	lastFlush  atomic.Int64  // in nanoseconds since 1970
	packing    sync.Mutex    // held while WAL is packed
}

// Open opens the repository in o.Dir, and makes it if it is not there. Timelines whose
// creation or deletion was interrupted by a crash are gone. A timeline's LastLSN is its flushed LSN:
// the caller must ingest the WAL behind it again, that of the ancestors first. ErrBusy if another
// process has the repository open.
func Open(o Options) (r *Repository, err error) {
	if o.Redo == nil {
		return nil, fmt.Errorf("open repository without redo: %w", ErrInvalid)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Memory == nil {
		o.Memory = NewMemory(0)
	}
	if o.Meters == nil {
		o.Meters = new(Meters)
	}
	r = &Repository{
		dir: o.Dir, redo: o.Redo, log: o.Log, store: o.Store, mem: o.Memory, meters: o.Meters,
		cache: newPageCache(cmp.Or(o.Cache, defaultCache), &o.Memory.pages),
		byID:  make(map[TimelineID]*Timeline), byName: make(map[string]*Timeline), names: make(map[string]bool),
		tags: make(map[string]tag), kept: make(map[TimelineID]keptRow), gone: make(map[timelineNo]gone), collecting: make(chan struct{}, 1), closing: make(chan struct{}),
		done: make(chan struct{}), flusherDone: make(chan struct{}), kick: make(chan struct{}, 1),
		cold: make(chan struct{}, 1), packerDone: make(chan struct{}),
	}
	if err := os.MkdirAll(r.timelinesDir(), 0o700); err != nil {
		return nil, err
	}
	if r.store == nil {
		if r.store, err = store.OpenBadger(filepath.Join(o.Dir, StoreDir), store.BadgerOptions{Log: o.Log}); err != nil {
			return nil, err
		}
	}
	if err := r.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open repository %s: %w", o.Dir, err), r.store.Close())
	}
	r.collecting <- struct{}{}
	ctx, stop := context.WithCancel(context.Background())
	r.stopFlusher = stop
	go r.runFlusher(ctx)
	go r.runPacker(ctx)
	r.mem.join(r)
	return r, nil
}

func (r *Repository) timelinesDir() string { return filepath.Join(r.dir, "timelines") }

// load reads the timelines' rows, and removes timelines that a crash left unfinished.
func (r *Repository) load() error {
	if err := checkFormat(r.store); err != nil {
		return err
	}
	byNo, removed := make(map[timelineNo]*Timeline), make(map[TimelineID]bool)
	var unfinished []store.Op
	err := readTimelineRows(r.store, func(no timelineNo, row timelineRow) error {
		r.nextNo = max(r.nextNo, no+1)
		if row.Status == statusCreating {
			row.Status = statusDeleted
			unfinished = append(unfinished, rowOp(timelineKey(kindTimeline, no), row))
		}
		if row.isKept() {
			return r.loadKept(no, row)
		}
		if row.Status != statusLive {
			if id, err := ParseTimelineID(row.ID); err == nil {
				removed[id] = true
			}
			r.gone[no] = gone{beforeOpen: true}
			return nil
		}
		t, err := r.loadTimeline(no, row, byNo)
		if err != nil {
			return err
		}
		byNo[no] = t
		r.byID[t.info.ID], r.byName[t.Name()] = t, t
		return nil
	})
	if err == nil && len(unfinished) > 0 {
		err = r.store.Update(unfinished)
	}
	if err == nil {
		err = r.loadTags(byNo)
	}
	if err == nil {
		err = r.loadPins(byNo)
	}
	if err == nil {
		err = r.checkDirs(removed)
	}
	return err
}

// loadKept reads the row of a deleted branch that is kept. Its ancestor's was read before.
func (r *Repository) loadKept(no timelineNo, row timelineRow) error {
	id, err := ParseTimelineID(row.ID)
	if err != nil || row.Deleted == nil {
		return fmt.Errorf("timeline %d: %w", no, ErrCorrupt)
	}
	stored, err := r.storedBytes(no)
	r.kept[id] = keptRow{no: no, row: row, parent: r.idOf(row.Parent), stored: stored}
	return err
}

// idOf gives the id of the timeline with a number, live or kept; zero if there is none.
func (r *Repository) idOf(no *timelineNo) TimelineID {
	if no == nil {
		return TimelineID{}
	}
	for id, t := range r.byID {
		if t.no == *no {
			return id
		}
	}
	for id, k := range r.kept {
		if k.no == *no {
			return id
		}
	}
	return TimelineID{}
}

// loadTimeline makes the timeline of a row. byNo has those that were loaded before, its parent among
// them.
func (r *Repository) loadTimeline(no timelineNo, row timelineRow, byNo map[timelineNo]*Timeline) (*Timeline, error) {
	id, err := ParseTimelineID(row.ID)
	if err != nil {
		return nil, fmt.Errorf("timeline %d: %w: %w", no, ErrCorrupt, err)
	}
	version, err := pg.ByStoredMajor(row.Major)
	if err != nil {
		return nil, fmt.Errorf("timeline %q: %w: %w", row.Name, ErrUnsupported, err)
	}
	history, err := row.history()
	if err != nil {
		return nil, fmt.Errorf("timeline %q: %w", row.Name, err)
	}
	info := Info{ID: id, Name: row.Name, StartLSN: pg.LSN(row.Start), Version: version, SegSize: row.SegSize, SysID: row.SysID}
	var parent *Timeline
	if row.Parent != nil {
		if parent = byNo[*row.Parent]; parent == nil {
			return nil, fmt.Errorf("timeline %q: its ancestor %d is not there: %w", row.Name, *row.Parent, ErrCorrupt)
		}
		info.Parent = parent.info.ID
	}
	var flushed flushedRow
	found, err := readRow(r.store, timelineKey(kindFlushed, no), &flushed)
	if err == nil && (!found || flushed.LSN < info.StartLSN) {
		err = fmt.Errorf("timeline %q: flushed up to %v, starts at %v: %w", row.Name, flushed.LSN, info.StartLSN, ErrCorrupt)
	}
	if err != nil {
		return nil, err
	}
	if flushed.Intent > flushed.LSN {
		flushed.left = flushed.Intent
	}
	t := newTimeline(r, no, info, history, parent, flushed)
	t.label.Store(new(row.label()))
	stored, err := r.storedBytes(no)
	t.stored.Store(stored)
	return t, errors.Join(err, t.loadIndex())
}

// checkDirs looks at the directories of timelines that the store does not have. A crash leaves one
// when it comes while a timeline is made, which has no file yet, or while one is removed, whose row
// says so: these are deleted. One with WAL, of which the store knows nothing, means that the store is
// not the one that belongs here, or has lost what it had.
func (r *Repository) checkDirs(removed map[TimelineID]bool) error {
	entries, err := os.ReadDir(r.timelinesDir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, err := ParseTimelineID(e.Name())
		if _, kept := r.kept[id]; err != nil || kept || r.byID[id] != nil {
			continue
		}
		dir := filepath.Join(r.timelinesDir(), e.Name())
		if !removed[id] {
			file, err := anyFile(dir)
			if err != nil {
				return err
			}
			if file != "" {
				return fmt.Errorf("the store knows no timeline %v, but there is its file %s: %w", id, file, ErrCorrupt)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// anyFile gives the path of a file in or under dir; "" if there are only directories.
func anyFile(dir string) (found string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found, err = path, fs.SkipAll
		}
		return err
	})
	return found, err
}

// Close flushes what is in memory, and waits for that. Snapshots and timelines must not be
// used any more. A second call returns the first one's error.
func (r *Repository) Close() error {
	r.closeOnce.Do(func() { r.closeErr = r.close() })
	return r.closeErr
}

func (r *Repository) close() error {
	close(r.closing)
	<-r.collecting // never given back: no collection begins any more
	all := r.Timelines()
	for _, t := range all {
		// A Writer that is at work may finish its batch first.
		if err := t.takeTurn(context.Background()); err == nil {
			t.sealOpen()
			t.giveTurn()
		}
	}
	r.mem.leave(r)
	close(r.done)
	r.stopFlusher()
	<-r.flusherDone
	<-r.packerDone
	r.dropQueue()
	var errs []error
	for _, t := range all {
		errs = append(errs, t.lastFlushError(), t.noIntent())
		t.dropOpen()
		t.wal.Close()
	}
	r.cache.close()
	return errors.Join(append(errs, r.store.Close())...)
}

// ReadyToClose reports an error if the disk is too full to close the repository: it has to stay open
// then, or the process has to end after Close.
func (r *Repository) ReadyToClose() error { return r.store.ReadyToClose() }

// update writes ops to the store, all of them or none, durably.
func (r *Repository) update(ops ...store.Op) error {
	if err := r.store.Update(ops); err != nil {
		return err
	}
	return r.store.Sync()
}

// Timelines lists the timelines, in the order in which they were created.
func (r *Repository) Timelines() []*Timeline {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.SortedFunc(maps.Values(r.byID), func(a, b *Timeline) int { return cmp.Compare(a.no, b.no) })
}

// Timeline finds a timeline by its id: ErrNotFound if there is none.
func (r *Repository) Timeline(id TimelineID) (*Timeline, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if t := r.byID[id]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("timeline %v: %w", id, ErrNotFound)
}

// ByName finds a timeline by its branch name: ErrNotFound if there is none.
func (r *Repository) ByName(name string) (*Timeline, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if t := r.byName[name]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("branch %q: %w", name, ErrNotFound)
}
