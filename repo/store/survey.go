package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"

	"zenith/internal/durable"
)

// survey is what is found of a store before badger may touch it. badger takes what it finds for all
// there ever was: it deletes tables that its MANIFEST does not name, makes a new MANIFEST where there
// is none, and cuts a log where it does not understand it. That is right after a crash, and a loss
// after anything else that happens to files. So the files are compared with each other, and with the
// inventory and the mark, and badger gets them only if nothing will be lost.
type survey struct {
	dir    string
	man    *manifest
	manErr error // why there is no man
	inv    *inventory
	mark   mark
	tables map[uint64]struct{} // on disk
	mems   []string            // logs of memtables on disk
	values []string            // value logs on disk
}

// repairHint ends errors about what Repair may be able to repair.
const repairHint = `nothing was changed; "zenith check --repair" makes it anew if that can be done without loss`

func newSurvey(dir string, log *slog.Logger) (*survey, error) {
	v := &survey{dir: dir, tables: map[uint64]struct{}{}}
	if v.man, v.manErr = readManifest(dir); v.manErr != nil && !errors.Is(v.manErr, ErrCorrupt) {
		return nil, v.manErr
	}
	var err error
	if v.inv, err = readInventory(dir); errors.Is(err, errNotSealed) {
		log.Warn("store's second list of tables is damaged and made anew", "err", err)
	} else if err != nil {
		return nil, err
	}
	if v.mark, err = readMark(dir); err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if id, ok := table.ParseFileID(filepath.Base(name)); ok {
			v.tables[id] = struct{}{}
		}
	}
	if v.mems, err = listLogs(dir, memSuffix); err == nil {
		v.values, err = listLogs(dir, valueSuffix)
	}
	return v, err
}

func (v *survey) tableName(id uint64) string { return filepath.Join(v.dir, table.IDToFilename(id)) }

// fresh reports whether there is no store yet.
func (v *survey) fresh() (bool, error) {
	if !errors.Is(v.manErr, errNoManifest) || v.inv != nil || v.mark.Seq > 0 || len(v.tables) > 0 {
		return false, nil
	}
	for _, name := range slices.Concat(v.mems, v.values) {
		if log, err := scanLog(v.dir, logState{Name: name}); err != nil || log.Whole > logHead {
			return false, err
		}
	}
	return true, nil
}

// same reports whether the MANIFEST is the one that the inventory knows, or that one with more.
func (v *survey) same() bool { return v.inv == nil || v.man.begins(v.inv.Size, v.inv.Sum) }

// settle makes the store one that badger can be given, or says what is damaged. It changes nothing
// then, and never anything that matters.
func (v *survey) settle(log *slog.Logger) error {
	if fresh, err := v.fresh(); fresh || err != nil {
		return err
	}
	if v.manErr != nil {
		return fmt.Errorf("%w; %s", v.manErr, repairHint)
	}
	named := v.checkNamed()
	if named != nil && v.same() {
		return named
	}
	adopt, err := v.unnamed()
	if err != nil {
		return err
	}
	torn := int64(len(v.man.data)) < v.man.size
	flushed := v.man.flushedSince(v.mark.Opened) + len(adopt)
	if !v.same() {
		if torn || named != nil || len(adopt) > 0 || v.man.next < v.inv.Next {
			return fmt.Errorf("store's file %s does not have what it had: %d bytes of it are sound, %d were written: %w; %s",
				filepath.Join(v.dir, badger.ManifestFilename), len(v.man.data), v.inv.Size, ErrCorrupt, repairHint)
		}
		// badger has written it anew, which it does when it has grown, and died.
		flushed = math.MaxInt
	}
	if err := v.checkLogs(flushed); err != nil {
		return err
	}
	if len(adopt) > 0 || torn && v.inv != nil {
		log.Warn("store's list of tables ends early, as after a crash", "tables not on it", adopt)
		if err := v.man.adopt(v.dir, adopt); err != nil {
			return err
		}
	}
	return v.replaceDerived(log)
}

// checkNamed finds out whether the tables that the MANIFEST names are there, and are the ones that
// were. Each is opened as badger will open it.
func (v *survey) checkNamed() error {
	for id := range v.man.live {
		if err := v.checkTable(id); err != nil {
			return err
		}
	}
	return nil
}

func (v *survey) checkTable(id uint64) error {
	name := v.tableName(id)
	if err := checkTable(name); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store's file %s is missing: %w", name, ErrCorrupt)
	} else if err != nil {
		return err
	}
	if v.inv == nil {
		return nil
	}
	want, known := v.inv.Tables[id]
	if !known {
		return nil
	}
	got, err := describeTable(v.dir, id)
	if err != nil {
		return err
	}
	if got.Size != want.Size || got.Index != want.Index {
		return fmt.Errorf("store's file %s is not the one that was written: %w", name, ErrCorrupt)
	}
	return nil
}

// unnamed gives the tables that the MANIFEST has never named. badger would delete them. A crash leaves
// such a table when it comes between the table and its entry in the MANIFEST; then everything in it is
// in a log or in other tables too, and to keep it costs nothing. But where the end of the MANIFEST was
// lost, it may be the only one that has it. One that is not whole has never been named.
func (v *survey) unnamed() (ids []uint64, err error) {
	for id := range v.tables {
		_, live := v.man.live[id]
		_, deleted := v.man.deleted[id]
		if live || deleted {
			continue
		}
		whole, err := tableIsWhole(v.tableName(id))
		if err != nil {
			return nil, err
		}
		if whole {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// tableIsWhole reports whether every block of a table has the right checksum.
func tableIsWhole(name string) (bool, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	if len(data) == 0 {
		return false, nil
	}
	err = verifyTable(name, data)
	if errors.Is(err, ErrCorrupt) {
		return false, nil
	}
	return err == nil, err
}

// checkLogs finds out whether the logs that were synced are there, with all that was synced. The first
// so many logs of memtables may be gone: they became tables.
func (v *survey) checkLogs(flushed int) error {
	for _, log := range v.mark.Logs {
		if log.Whole <= logHead || log.Rank >= 0 && log.Rank < flushed {
			continue
		}
		if err := log.checkWhole(v.dir); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("store's file %s is missing, and no table has what was in it: %w", filepath.Join(v.dir, log.Name), ErrCorrupt)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// replaceDerived puts those files of badger's aside that say nothing about what is stored, if they are
// damaged: badger makes them anew. Empty logs go too, which badger leaves when it dies while it makes
// or deletes one, and does not open.
func (v *survey) replaceDerived(log *slog.Logger) error {
	for name, sound := range map[string]func([]byte) bool{"KEYREGISTRY": soundRegistry, "DISCARD": soundDiscard} {
		if err := asideUnless(filepath.Join(v.dir, name), sound, log); err != nil {
			return err
		}
	}
	for _, name := range slices.Concat(v.mems, v.values) {
		path := filepath.Join(v.dir, name)
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		if st.Size() == 0 {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		if err := v.replaceLog(path, log); err != nil {
			return err
		}
	}
	return nil
}

// replaceLog puts a log aside in which nothing makes sense, and which badger could not open. checkLogs
// has found that nothing of it is needed, unless it is a value log of which nothing is known.
func (v *survey) replaceLog(path string, log *slog.Logger) error {
	sound, err := soundLog(path)
	if err != nil || sound {
		return err
	}
	if filepath.Ext(path) == valueSuffix && !slices.ContainsFunc(v.mark.Logs, func(l markedLog) bool { return l.Name == filepath.Base(path) }) {
		return fmt.Errorf("store's file %s makes no sense from its start on: %w", path, ErrCorrupt)
	}
	aside, err := durable.MoveAside(path)
	if err != nil {
		return err
	}
	log.Warn("store's log, in which nothing was stored, is damaged", "file", path, "kept", aside)
	return nil
}
