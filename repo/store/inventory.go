package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/table"

	"zenith/internal/durable"
)

// inventory is the second list of a store's tables. badger has one, its MANIFEST, and deletes every
// table that is not on it: so a MANIFEST that was lost or cut short would cost all that is stored.
// The inventory lies beside the store's directory, in DIR.inventory, and is written whenever the
// tables have changed when the store is synced, and when it is opened and closed.
//
// It is never ahead of the MANIFEST: what it says of it was durable first. It may be behind, since
// badger flushes and compacts when it likes.
type inventory struct {
	Size   int64                     // of the MANIFEST then, in bytes,
	Sum    uint32                    // and its CRC-32C
	Next   uint64                    // above the ids of all tables that were ever made
	Tables map[uint64]inventoryTable // by id

	// How many memtables had become tables since a process opened the store when the MANIFEST had this size. Without
	// them, a log that a mark names as needed and that became one of these tables would be missed.
	Opened  int64
	Flushed int
}

// inventoryTable is a table, which never changes.
type inventoryTable struct {
	Level uint32
	Size  int64
	Index uint32 // CRC-32C of its index and of what follows; not of its blocks, of which one may be damaged
}

// mark says what was durable in the logs of a store when it was last synced. It is written after the
// logs were synced, and not synced itself: so after a power cut it may be older than the logs, never
// newer. It lies in DIR.mark.
//
// A log that is not there any more must have become a table. badger flushes memtables in the order
// of their numbers, so the log of rank r, counted from 0, is one of those that are gone if the
// MANIFEST has more than r flushes behind Opened.
type mark struct {
	Seq    uint64 // counts marks: of two slots the one with the higher one is meant
	Opened int64  // the size of the MANIFEST when the process opened the store
	Logs   []markedLog
}

type markedLog struct {
	logState
	Rank int // -1: a value log, which must be there
}

func inventoryPath(dir string) string { return dir + ".inventory" }
func markPath(dir string) string      { return dir + ".mark" }

// errNotSealed is returned for a file of ours that is damaged.
var errNotSealed = errors.New("checksum does not match")

// seal encodes v, with a checksum in front: | length 4 | CRC-32C 4 | JSON |.
func seal(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps, slices and numbers only
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return append(b, body...)
}

func unseal(b []byte, v any) error {
	const head = 8
	if len(b) < head {
		return errNotSealed
	}
	n := int64(binary.BigEndian.Uint32(b)) + head
	if n > int64(len(b)) || crc32.Checksum(b[head:n], castagnoli) != binary.BigEndian.Uint32(b[4:]) {
		return errNotSealed
	}
	return json.Unmarshal(b[head:n], v)
}

// readInventory reads the inventory of the store in dir: nil if there is none, errNotSealed if it is
// damaged.
func readInventory(dir string) (*inventory, error) {
	b, err := os.ReadFile(inventoryPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	inv := new(inventory)
	if err := unseal(b, inv); err != nil {
		return nil, fmt.Errorf("store's file %s: %w", inventoryPath(dir), err)
	}
	return inv, nil
}

// takeInventory lists the tables of m; known has those that were seen before.
func takeInventory(dir string, m *manifest, known *inventory) (*inventory, error) {
	inv := &inventory{Size: int64(len(m.data)), Sum: crc32.Checksum(m.data, castagnoli), Next: m.next, Tables: map[uint64]inventoryTable{}}
	for id, level := range m.live {
		var t inventoryTable
		var err error
		if known != nil {
			t = known.Tables[id]
		}
		if t.Size == 0 {
			if t, err = describeTable(dir, id); errors.Is(err, fs.ErrNotExist) {
				continue // compacted since the MANIFEST was read
			} else if err != nil {
				return nil, err
			}
		}
		t.Level = level
		inv.Tables[id] = t
	}
	if known != nil {
		inv.Next = max(inv.Next, known.Next)
	}
	return inv, nil
}

// describeTable reads what the inventory says of a table.
func describeTable(dir string, id uint64) (inventoryTable, error) {
	name := filepath.Join(dir, table.IDToFilename(id))
	f, err := os.Open(name)
	if err != nil {
		return inventoryTable{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return inventoryTable{}, err
	}
	tail := make([]byte, min(footerMost, st.Size()))
	if _, err := f.ReadAt(tail, st.Size()-int64(len(tail))); err != nil {
		return inventoryTable{}, err
	}
	at, err := indexStart(tail, st.Size())
	if err != nil {
		return inventoryTable{}, fmt.Errorf("store's file %s: %w", name, err)
	}
	sum := crc32.New(castagnoli)
	if _, err := io.Copy(sum, io.NewSectionReader(f, at, st.Size()-at)); err != nil {
		return inventoryTable{}, err
	}
	return inventoryTable{Size: st.Size(), Index: sum.Sum32()}, nil
}

// write replaces the inventory of the store in dir, durably.
func (inv *inventory) write(dir string) error {
	return durable.WriteFile(inventoryPath(dir), seal(inv), 0o600)
}

// A mark is written in place, in one of two slots in turn, so that a process which dies meanwhile
// leaves the other one.
const markSlot = 4096

func readMark(dir string) (mark, error) {
	b, err := os.ReadFile(markPath(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return mark{}, err
	}
	var best mark
	for ; len(b) > 0; b = b[min(markSlot, len(b)):] {
		var m mark
		if err := unseal(b, &m); err == nil && m.Seq > best.Seq {
			best = m
		}
	}
	return best, nil
}

// write writes the mark of the store in dir.
func (m *mark) write(dir string) error {
	b := seal(m)
	if len(b) > markSlot {
		return nil // too many logs for a slot: the old mark stays, or there is none
	}
	f, err := os.OpenFile(markPath(dir), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, int64(m.Seq%2)*markSlot)
	return errors.Join(err, f.Close())
}
