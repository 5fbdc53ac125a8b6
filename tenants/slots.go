package tenants

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/sidefile"
	"zenith/repo"
)

// slot is a physical replication slot: a name for how far a client has got WAL.
type slot struct {
	restart   pg.LSN // the client needs WAL from here on; 0: it needs none yet
	temporary bool   // it is not written to disk, and so is gone after a restart
	active    bool   // a client streams with it
	saved     pg.LSN // the value of restart that is on disk
}

// savedSlot is a slot on disk.
type savedSlot struct {
	Restart uint64 `json:"restart"`
}

// slotsKind is the file of a branch's slots.
var slotsKind = sidefile.Kind[map[string]savedSlot]{
	Lost: "the replication slots of a branch: WAL is not kept for them", Perm: 0o600, Format: sidefile.JSON,
}

// slots are the replication slots of one branch. Their file is <tenant>/slots/<timeline>.
type slots struct {
	log  *slog.Logger
	mu   sync.Mutex
	path string
	list map[string]*slot
}

func slotsDir(tenantDir string) string { return filepath.Join(tenantDir, "slots") }

// openSlots reads a branch's slots. If their file is damaged, the branch has none.
func openSlots(tenantDir string, id repo.TimelineID, log *slog.Logger) *slots {
	s := &slots{path: filepath.Join(slotsDir(tenantDir), id.String()), list: map[string]*slot{}, log: log}
	saved, err := slotsKind.Read(s.path)
	warnDamage(log, err)
	for name, one := range saved {
		s.list[name] = &slot{restart: pg.LSN(one.Restart), saved: pg.LSN(one.Restart)}
	}
	return s
}

// saveLocked puts the slots on disk.
func (s *slots) saveLocked() error {
	kept := map[string]savedSlot{}
	for name, one := range s.list {
		if !one.temporary {
			kept[name] = savedSlot{uint64(one.restart)}
		}
	}
	if err := writeSide(slotsKind, s.path, kept, s.log); err != nil {
		return err
	}
	for name := range kept {
		s.list[name].saved = s.list[name].restart
	}
	return nil
}

// horizon is the first LSN from which a slot needs WAL, 0 if none does.
func (s *slots) horizon() (first pg.LSN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.list {
		if one.restart != 0 && (first == 0 || one.restart < first) {
			first = one.restart
		}
	}
	return first
}

// removeSlots removes the slots of a branch that is gone.
func removeSlots(tenantDir string, id repo.TimelineID) error {
	err := os.Remove(filepath.Join(slotsDir(tenantDir), id.String()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// change calls fn with a slot, and writes the slots to disk if fn says so and the slot is not temporary.
// ErrNotFound: there is no such slot.
func (s *slots) change(name string, fn func(*slot) (save bool, err error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.list[name]
	if one == nil {
		return api.Errorf(api.ErrNotFound, "replication slot \"%s\" does not exist", name)
	}
	save, err := fn(one)
	if err != nil || !save || one.temporary {
		return err
	}
	if err := s.saveLocked(); err != nil {
		s.list[name] = one // if fn dropped it: it is still on disk
		return err
	}
	return nil
}

// branchSlots are a branch's slots as replication clients use them: an api.SlotService.
type branchSlots struct{ b *branch }

// Create makes a slot; one that reserves keeps WAL from the last checkpoint on.
func (s branchSlots) Create(name string, temporary, reserve bool) error {
	own := &slot{temporary: temporary}
	if reserve {
		at, err := s.b.tl.Resolve(s.b.t.m.ctx, s.b.tl.LastLSN())
		if err != nil {
			return classify(err)
		}
		own.restart = at.State.CheckPoint.Redo
	}
	all := s.b.slots
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.list[name] != nil {
		return api.Errorf(api.ErrExists, "replication slot \"%s\" already exists", name)
	}
	if all.countLocked(temporary) >= maxSlots {
		return api.Errorf(api.ErrNotAllowed, "all replication slots of the branch are in use: %d", maxSlots)
	}
	all.list[name] = own
	if temporary {
		return nil
	}
	if err := all.saveLocked(); err != nil {
		delete(all.list, name)
		return err
	}
	return nil
}

// maxSlots is how many slots a branch may have, and how many temporary ones besides: whoever reads a branch makes those.
const maxSlots = 200

// countLocked gives the number of slots that are temporary, or not.
func (s *slots) countLocked(temporary bool) (n int) {
	for _, one := range s.list {
		if one.temporary == temporary {
			n++
		}
	}
	return n
}

// Drop removes a slot.
func (s branchSlots) Drop(name string, own bool) error {
	return s.b.slots.change(name, func(one *slot) (bool, error) {
		if err := one.free(name, own); err != nil {
			return false, err
		}
		delete(s.b.slots.list, name)
		return true, nil
	})
}

// free reports why a caller may not take a slot. own: it means a temporary slot that it made itself. As in PostgreSQL,
// a temporary slot is taken by its connection as long as it is there.
func (one *slot) free(name string, own bool) error {
	switch {
	case own && !one.temporary:
		return api.Errorf(api.ErrNotFound, "temporary replication slot \"%s\" does not exist", name)
	case one.active:
		return api.Errorf(api.ErrBusy, "replication slot \"%s\" is active: somebody streams with it", name)
	case one.temporary && !own:
		return api.Errorf(api.ErrBusy, "replication slot \"%s\" is active: it is temporary, and another connection's", name)
	}
	return nil
}

// Get gives the LSN from which on a slot keeps WAL, 0 if it keeps none yet.
func (s branchSlots) Get(name string) (restart pg.LSN, err error) {
	err = s.b.slots.change(name, func(one *slot) (bool, error) {
		restart = one.restart
		return false, nil
	})
	return restart, err
}

// Acquire takes a slot for a stream.
func (s branchSlots) Acquire(name string, own bool) error {
	return s.b.slots.change(name, func(one *slot) (bool, error) {
		if err := one.free(name, own); err != nil {
			return false, err
		}
		one.active = true
		return false, nil
	})
}

// Advance moves a slot forward, never back or beyond the head. The LSN on disk may be up to a segment
// behind: after a crash the slot keeps more WAL than it needs.
func (s branchSlots) Advance(name string, flushed pg.LSN) error {
	return s.b.slots.change(name, func(one *slot) (bool, error) {
		if flushed = min(flushed, s.b.tl.LastLSN()); flushed <= one.restart {
			return false, nil
		}
		first := one.restart == 0
		one.restart = flushed
		return first || flushed >= one.saved+pg.LSN(s.b.tl.Info().SegSize), nil
	})
}

// Release undoes Acquire.
func (s branchSlots) Release(name string) error {
	return s.b.slots.change(name, func(one *slot) (bool, error) {
		one.active = false
		return one.saved != one.restart, nil
	})
}
