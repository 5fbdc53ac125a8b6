package store

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"zenith/internal/durable"
)

// Repair makes the MANIFEST of the store in dir anew from its second copy, if it is damaged and if that
// loses nothing, and says what it did; "" if there is nothing to repair. The old one is kept beside it.
// Where it is not sure it changes nothing, and the error says what is damaged.
func Repair(dir string, log *slog.Logger) (done string, err error) {
	lock, err := lockDir(dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.unlock()) }()
	v, err := newSurvey(dir, log)
	if err != nil {
		return "", err
	}
	damage := v.settle(log)
	if damage == nil {
		return "", nil
	}
	if v.manErr == nil && v.same() {
		return "", fmt.Errorf("cannot be repaired: %w", damage) // it is not the MANIFEST that is damaged
	}
	levels, err := v.levels()
	if err != nil {
		return "", fmt.Errorf("cannot be repaired: %w: %w", damage, err)
	}
	return v.rebuild(levels)
}

// levels gives all tables of the store as the inventory knows them, and at level 0 those that were made
// since: where badger finds a key in several tables of level 0, the numbers that the keys end with say
// which is the newest. A table that the inventory does not know is part of the store only if nothing was
// deleted since; then those tables' ids have no gap. One that is not whole was being made when the process
// ended, and what was to be in it is still where it came from.
func (v *survey) levels() (map[uint64]uint32, error) {
	if v.inv == nil {
		return nil, fmt.Errorf("there is no second copy, %s: %w", inventoryPath(v.dir), ErrCorrupt)
	}
	levels := map[uint64]uint32{}
	for id, t := range v.inv.Tables {
		if err := v.checkTable(id); err != nil {
			return nil, err
		}
		levels[id] = t.Level
	}
	newer := 0
	for id := range v.tables {
		if id < v.inv.Next {
			continue
		}
		whole, err := tableIsWhole(v.tableName(id))
		if err != nil {
			return nil, err
		}
		if whole {
			newer++
			levels[id] = 0
		}
	}
	for id := v.inv.Next; id < v.inv.Next+uint64(newer); id++ {
		if _, there := levels[id]; !there {
			return nil, fmt.Errorf("store's file %s is missing, and it is not known whether it was needed: %w", v.tableName(id), ErrCorrupt)
		}
	}
	return levels, v.checkLogs(newer + v.flushedInInventory())
}

// flushedInInventory counts the memtables that became tables between the open that the mark is about and the inventory.
func (v *survey) flushedInInventory() int {
	if v.inv.Opened != v.mark.Opened {
		return 0
	}
	return v.inv.Flushed
}

// rebuild writes a MANIFEST with those tables, and moves the one that is there aside.
func (v *survey) rebuild(levels map[uint64]uint32) (done string, err error) {
	name, old := filepath.Join(v.dir, badger.ManifestFilename), "it was missing"
	if !errors.Is(v.manErr, errNoManifest) {
		aside, err := durable.MoveAside(name)
		if err != nil {
			return "", err
		}
		old = "the damaged one is " + aside
	}
	if err := writeManifest(v.dir, levels); err != nil {
		return "", err
	}
	m, err := readManifest(v.dir)
	if err != nil {
		return "", err
	}
	m.next = max(m.next, v.inv.Next)
	inv, err := takeInventory(v.dir, m, v.inv)
	if err != nil {
		return "", err
	}
	// The ranks of the logs count from another MANIFEST. Those that are there are still to be read.
	v.mark.Seq, v.mark.Opened, v.mark.Logs = v.mark.Seq+1, m.size, v.remaining()
	if err := errors.Join(inv.write(v.dir), v.mark.write(v.dir)); err != nil {
		return "", err
	}
	return fmt.Sprintf("store's file %s was made anew with %d tables; %s", name, len(levels), old), nil
}

// remaining gives the marked logs that are still there. Their ranks are as after an open.
func (v *survey) remaining() (logs []markedLog) {
	for _, log := range v.mark.Logs {
		if slices.Contains(v.mems, log.Name) {
			log.Rank = len(logs)
			logs = append(logs, log)
		}
	}
	return logs
}
