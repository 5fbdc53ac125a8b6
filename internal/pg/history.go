package pg

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// History says which of PostgreSQL's timelines a line of WAL is on, and from where: the oldest timeline first.
// Each further one begins where a server was promoted. It is never changed: methods give new ones.
type History []HistoryEntry

// HistoryEntry is one timeline of a History.
type HistoryEntry struct {
	TLI   TLI `json:"tli"`
	Begin LSN `json:"begin"` // where it left the timeline before it; 0 for the first one, about whose begin nothing is known
}

// OnTLI is the History of WAL that is on one timeline as far as it is known.
func OnTLI(tli TLI) History { return History{{TLI: tli}} }

// TLI is the last timeline: that of WAL which is still to come.
func (h History) TLI() TLI { return h[len(h)-1].TLI }

// EndingAt is the timeline of the last byte of WAL before end. For the end of a segment it is the timeline that the
// segment's name has: a server that is promoted copies the segment's beginning into a file of the new name
// (XLogInitNewTimeline). For a point it is the timeline on which a server was that stopped there: at the very
// LSN of a promotion, the old one.
func (h History) EndingAt(end LSN) TLI { return h.Until(end).TLI() }

// Until is the History of the WAL below end: what a branch that leaves at end inherits.
func (h History) Until(end LSN) History {
	n := 1
	for n < len(h) && h[n].Begin < end {
		n++
	}
	return h[:n:n]
}

// OfSegment is the timeline that the name of the segment that holds lsn has.
func (h History) OfSegment(lsn LSN, segSize int) TLI {
	return h.EndingAt(lsn&^LSN(segSize-1) + LSN(segSize))
}

// Switched is h with a further timeline, which begins at begin.
func (h History) Switched(tli TLI, begin LSN) History {
	return append(h[:len(h):len(h)], HistoryEntry{tli, begin})
}

// Left says where a timeline was left, and for which other one. ok is false for the last timeline, which was not left,
// and for one that is not in h.
func (h History) Left(tli TLI) (at LSN, next TLI, ok bool) {
	for i := range len(h) - 1 {
		if h[i].TLI == tli {
			return h[i+1].Begin, h[i+1].TLI, true
		}
	}
	return 0, 0, false
}

// Find gives the entry of a timeline.
func (h History) Find(tli TLI) (e HistoryEntry, ok bool) {
	for _, e := range h {
		if e.TLI == tli {
			return e, true
		}
	}
	return HistoryEntry{}, false
}

// Extends reports whether h is other, or goes on where other ends.
func (h History) Extends(other History) bool {
	return len(h) >= len(other) && slices.Equal(h[:len(other)], other)
}

// Check is an error if h cannot be a history: the numbers grow from one timeline to the next, and no
// timeline begins before its parent.
func (h History) Check() error {
	if len(h) == 0 || h[0].TLI == 0 || h[0].Begin != 0 {
		return fmt.Errorf("timeline history %v has no beginning: %w", h, ErrCorrupt)
	}
	for i := 1; i < len(h); i++ {
		if h[i].TLI <= h[i-1].TLI || h[i].Begin < h[i-1].Begin || h[i].Begin == 0 {
			return fmt.Errorf("timeline history: %d at %v follows %d at %v: %w", h[i].TLI, h[i].Begin, h[i-1].TLI, h[i-1].Begin, ErrCorrupt)
		}
	}
	return nil
}

// HistoryName is TLHistoryFileName: the name of a timeline's history file in pg_wal.
func HistoryName(tli TLI) string { return fmt.Sprintf("%08X.history", uint32(tli)) }

// HistoryPath is the path of a timeline's history file in a data directory.
func HistoryPath(tli TLI) string { return "pg_wal/" + HistoryName(tli) }

// ParseHistoryName is IsTLHistoryFileName with the timeline whose history the file of that name tells.
func ParseHistoryName(name string) (TLI, bool) {
	digits, ok := strings.CutSuffix(name, ".history")
	if !ok || len(digits) != 8 || strings.Trim(digits, "0123456789ABCDEF") != "" {
		return 0, false
	}
	tli, err := strconv.ParseUint(digits, 16, 32)
	return TLI(tli), err == nil
}

// ParseHistory is readTimeLineHistory: the history of timeline tli, whose history file has this text. Each line names an
// ancestor and the LSN at which it was left.
func ParseHistory(tli TLI, text []byte) (History, error) {
	var h History
	begin := LSN(0)
	for line := range bytes.Lines(text) {
		parent, end, ok, err := parseHistoryLine(string(line))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", HistoryName(tli), err)
		}
		if ok {
			h = append(h, HistoryEntry{parent, begin})
			begin = end
		}
	}
	h = append(h, HistoryEntry{tli, begin})
	if err := h.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", HistoryName(tli), err)
	}
	return h, nil
}

// parseHistoryLine parses "TLI LSN reason"; ok is false for a comment and for an empty line.
func parseHistoryLine(line string) (tli TLI, end LSN, ok bool, err error) {
	fields := strings.Fields(line)
	if len(fields) == 0 || fields[0][0] == '#' {
		return 0, 0, false, nil
	}
	n, err := strconv.ParseUint(fields[0], 10, 32)
	if err == nil && len(fields) < 2 {
		err = fmt.Errorf("no LSN")
	}
	if err == nil {
		end, err = ParseLSN(fields[1])
	}
	if err != nil {
		return 0, 0, false, fmt.Errorf("line %q: %v: %w", strings.TrimSpace(line), err, ErrCorrupt)
	}
	return TLI(n), end, true, nil
}

// AncestorHistory cuts the text of the history file of a descendant of timeline tli to that of tli's own history
// file, with which it begins (writeTimeLineHistory): what precedes the line that says where tli was left.
func AncestorHistory(tli TLI, text []byte) ([]byte, error) {
	at := 0
	for line := range bytes.Lines(text) {
		parent, _, ok, err := parseHistoryLine(string(line))
		if err != nil {
			return nil, err
		}
		if ok && parent == tli {
			own := text[:at]
			if n := len(own); n > 1 && own[n-2] == '\n' { // the empty line that parts the ancestor's file from the new line
				own = own[:n-1]
			}
			return own, nil
		}
		at += len(line)
	}
	return nil, fmt.Errorf("timeline history without timeline %d: %w", tli, ErrCorrupt)
}
