package repo

import (
	"encoding/json"
	"fmt"
	"time"

	"zenith/internal/pg"
	"zenith/repo/store"
)

// timelineStatus is where a timeline is in its life.
type timelineStatus string

const (
	statusCreating timelineStatus = "creating" // a Bulk fills it; the next Open after a crash deletes it
	statusLive     timelineStatus = "live"
	statusDeleted  timelineStatus = "deleted" // the store may still have its versions, so its number is not given to another
)

// rowLSN is an LSN in a row: a number in JSON, where pg.LSN would be text.
type rowLSN pg.LSN

// timelineRow stores a timeline. Only its name, its status, its switches and what users say of the branch
// ever change.
type timelineRow struct {
	ID      string
	Name    string
	Status  timelineStatus
	Parent  *timelineNo `json:",omitempty"`
	Start   rowLSN
	Major   int    `json:",omitempty"` // of PostgreSQL; 0 in rows from when 15 was the only one
	TLI     pg.TLI // PostgreSQL's timeline where its WAL begins
	SegSize int
	SysID   uint64
	// Switches are the further entries of its pg.History.
	Switches []tliSwitch `json:",omitempty"`

	Deleted *time.Time `json:",omitempty"` // of a deleted one: when
	Until   *time.Time `json:",omitempty"` // and until when it is kept; nil: it is gone
	Head    rowLSN     `json:",omitempty"` // and what its head was; 0 in rows of earlier builds

	// Since layout 6:

	Created   *time.Time `json:",omitempty"` // nil: by an earlier build
	Was       string     `json:",omitempty"` // see label
	Expires   *time.Time `json:",omitempty"` // this and what follows: see Attributes
	Protected *bool      `json:",omitempty"`
	Owner     string     `json:",omitempty"`
	Note      string     `json:",omitempty"`
}

// tliSwitch stores where a timeline went on to another one of PostgreSQL's timelines.
type tliSwitch struct {
	TLI pg.TLI
	At  rowLSN
}

// history gives the row's pg.History. ErrCorrupt if it is none.
func (r *timelineRow) history() (pg.History, error) {
	h := pg.OnTLI(r.TLI)
	for _, s := range r.Switches {
		h = h.Switched(s.TLI, pg.LSN(s.At))
	}
	return h, h.Check()
}

func (r *timelineRow) setHistory(h pg.History) {
	r.TLI, r.Switches = h[0].TLI, nil
	for _, e := range h[1:] {
		r.Switches = append(r.Switches, tliSwitch{e.TLI, rowLSN(e.Begin)})
	}
}

// flushedRow stores up to where the store has all of a timeline's history: its flushed LSN.
type flushedRow struct {
	LSN, Prev pg.LSN // the end of a record, and its start
	// Intent is an LSN up to which a flush may write, or have written, versions. If it is above LSN at
	// Open, a flush was interrupted: of the versions in (LSN, Intent] some may be there.
	Intent pg.LSN
	// left is what Intent was at Open, if a flush was interrupted. It is not stored.
	left pg.LSN
}

// flushedJSON is the form in which a flushedRow is stored.
type flushedJSON struct{ LSN, Prev, Intent rowLSN }

// MarshalJSON implements json.Marshaler.
func (r flushedRow) MarshalJSON() ([]byte, error) {
	return json.Marshal(flushedJSON{rowLSN(r.LSN), rowLSN(r.Prev), rowLSN(r.Intent)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *flushedRow) UnmarshalJSON(b []byte) error {
	var stored flushedJSON
	err := json.Unmarshal(b, &stored)
	*r = flushedRow{LSN: pg.LSN(stored.LSN), Prev: pg.LSN(stored.Prev), Intent: pg.LSN(stored.Intent)}
	return err
}

// rowOp is the write that stores a row.
func rowOp(key []byte, row any) store.Op {
	b, err := json.Marshal(row)
	if err != nil {
		panic(err) // rows are plain structs
	}
	return store.Op{Key: key, Value: b}
}

// readRow reads the row under key; found is false if there is none.
func readRow(s store.Store, key []byte, row any) (found bool, err error) {
	it := s.Iterator(key)
	defer closeIterator(it, &err)
	it.Seek(key)
	if !it.Valid() || len(it.Key()) != len(key) {
		return false, nil
	}
	b, err := it.Value()
	if err != nil {
		return false, err
	}
	return true, decodeRow(key, b, row)
}

// eachRow calls fn with the key of each row of a kind, in order, and has it decode the row.
func eachRow(s store.Store, k kind, fn func(key []byte, decode func(row any) error) error) (err error) {
	it := s.Iterator([]byte{byte(k)})
	defer closeIterator(it, &err)
	for it.Seek([]byte{byte(k)}); it.Valid(); it.Next() {
		b, err := it.Value()
		if err != nil {
			return err
		}
		if err := fn(it.Key(), func(row any) error { return decodeRow(it.Key(), b, row) }); err != nil {
			return err
		}
	}
	return nil
}

func decodeRow(key, b []byte, row any) error {
	if err := json.Unmarshal(b, row); err != nil {
		return fmt.Errorf("row %x: %v: %w", key, err, ErrCorrupt)
	}
	return nil
}

// readTimelineRows calls fn with each timeline's row, in order.
func readTimelineRows(s store.Store, fn func(timelineNo, timelineRow) error) error {
	return eachRow(s, kindTimeline, func(key []byte, decode func(any) error) error {
		no, ok := parseTimelineKey(key)
		if !ok {
			return fmt.Errorf("timeline key %x: %w", key, ErrCorrupt)
		}
		var row timelineRow
		if err := decode(&row); err != nil {
			return err
		}
		return fn(no, row)
	})
}

// readLeases calls fn with each lease: the timeline and the point.
func readLeases(s store.Store, fn func(timelineNo, pg.LSN, leaseRow)) error {
	return eachRow(s, kindLease, func(key []byte, decode func(any) error) error {
		no, at, ok := parseLeaseKey(key)
		if !ok {
			return fmt.Errorf("lease key %x: %w", key, ErrCorrupt)
		}
		var row leaseRow
		if err := decode(&row); err != nil {
			return err
		}
		fn(no, at, row)
		return nil
	})
}

// closeIterator closes it. Its error becomes *err if there is none yet: a store may report only then
// that what it iterated over is damaged.
func closeIterator(it store.Iterator, err *error) {
	if cerr := it.Close(); *err == nil {
		*err = cerr
	}
}
