package fusefs

import (
	"encoding/binary"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// hadName is the file, beside the saved ones, that lists the segments in a pg_wal that was bound when
// it was taken from a server, one name a line. The next mount shows them, and removes the list.
const hadName = "segments"

// needed says which segments, beside those that the base shows, a server is to find in its pg_wal: those
// that the last one had there. Where nobody knows them it is those that replication slots, and the
// archiver, may still ask for. PostgreSQL has no others, and itself removes what it needs no more.
type needed struct {
	had     map[string]bool // the segments that the last server had; nil: nobody knows
	status  map[string]bool // those that wait for the archiver, or have been archived
	newest  string          // position of the last that was in status; "": nothing is archived
	oldest  string          // position of the first segment that a slot needs; "": there is no slot
	segSize int
}

// needed finds out what the saved files say about segments of segSize bytes.
func (s *saved) needed(segSize int) (*needed, error) {
	n := &needed{status: map[string]bool{}, segSize: segSize}
	list, err := os.ReadFile(s.hadPath())
	if err == nil {
		n.had = map[string]bool{}
		for name := range strings.Lines(string(list)) {
			n.had[strings.TrimSpace(name)] = true
		}
	} else if !errors.Is(err, iofs.ErrNotExist) {
		return nil, err
	}
	return n, s.each(func(path, name string) error {
		switch dir, base := filepath.Split(path); {
		case dir == walDir+"/"+archiveStatus+"/":
			n.addStatus(strings.TrimSuffix(strings.TrimSuffix(base, ".ready"), ".done"))
		case isSlot(path):
			return n.addSlot(name)
		}
		return nil
	})
}

func (n *needed) addStatus(segment string) {
	if !pg.IsWALSegmentName(segment) {
		return // of a history or backup file
	}
	n.status[segment] = true
	n.newest = max(n.newest, position(segment))
}

// slotMagic is SLOT_MAGIC of slot.c; slotDatabase and slotRestart are where ReplicationSlotOnDisk has
// slotdata.database, which is 0 of a physical slot, and slotdata.restart_lsn.
const (
	slotMagic    = 0x1051CA1
	slotDatabase = 80
	slotRestart  = 96
)

// isSlot reports whether a file of a data directory has the state of a replication slot.
func isSlot(path string) bool {
	dir, base := filepath.Split(path)
	return base == "state" && strings.HasPrefix(dir, "pg_replslot/") && !strings.HasSuffix(dir, ".tmp/")
}

// slotState reads the state file of a slot at path on disk, as far as it is looked at here; nil for a file that is
// no slot's, which is for PostgreSQL to judge.
func slotState(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	state := make([]byte, slotRestart+8)
	if _, err := io.ReadFull(f, state); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if binary.NativeEndian.Uint32(state) != slotMagic {
		return nil, nil
	}
	return state, nil
}

// KeptSlots counts the replication slots that the next server on a branch finds. workDir is the mounts'
// WorkOptions.Dir.
func KeptSlots(workDir string) (physical, logical int, err error) {
	err = savedIn(workDir).each(func(path, name string) error {
		if !isSlot(path) {
			return nil
		}
		state, err := slotState(name)
		switch {
		case err != nil || state == nil:
		case binary.NativeEndian.Uint32(state[slotDatabase:]) == 0:
			physical++
		default:
			logical++
		}
		return err
	})
	return physical, logical, err
}

// addSlot adds what the slot needs whose state file is at path on disk.
func (n *needed) addSlot(path string) error {
	state, err := slotState(path)
	if err != nil || state == nil {
		return err
	}
	restart := pg.LSN(binary.NativeEndian.Uint64(state[slotRestart:]))
	if restart == 0 {
		return nil
	}
	from := position(xlog.SegmentName(1, restart, n.segSize))
	if n.oldest == "" || from < n.oldest {
		n.oldest = from
	}
	return nil
}

// has reports whether a server is to find a segment.
func (n *needed) has(segment string) bool {
	at := position(segment)
	switch {
	case n.status[segment] || n.oldest != "" && at >= n.oldest:
		return true
	case n.had != nil:
		return n.had[segment]
	}
	// A segment that was full just before the server died may not have been reported to the archiver.
	return n.newest != "" && at > n.newest
}

func (s *saved) hadPath() string { return filepath.Join(filepath.Dir(s.dir), hadName) }

// noteHad notes which segments a server had in a pg_wal that was bound.
func (s *saved) noteHad(segments []string) error {
	return durable.WriteFile(s.hadPath(), []byte(strings.Join(segments, "\n")+"\n"), 0o600)
}

// forgetHad removes what noteHad noted: from now on a server changes what it has.
func (s *saved) forgetHad() error {
	if err := os.Remove(s.hadPath()); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	return nil
}

// NeededWAL says which of a branch's segments of segSize bytes the next server on it needs, for its
// replication slots and its archiving; nil if it has neither. While no mount holds the branch's WAL
// (Branch.HoldWAL), they must be neither removed nor replaced. workDir is the mounts' WorkOptions.Dir.
func NeededWAL(workDir string, segSize int) (held func(segment string) bool, err error) {
	n, err := savedIn(workDir).needed(segSize)
	if err != nil {
		return nil, err
	}
	if n.oldest == "" && n.newest == "" {
		return nil, nil // no slots, no archiving: the segments that the last server had are free
	}
	return n.has, nil
}
