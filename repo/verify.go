package repo

import (
	"context"
	"fmt"

	"zenith/internal/pg"
)

// Verify reads the whole store and calls found with each entry that is damaged or breaks
// the layout's rules, until found returns an error. It reads no WAL and rebuilds no pages.
func (r *Repository) Verify(ctx context.Context, found func(problem error) error) (err error) {
	v := verifier{found: found, known: make(map[timelineNo]bool)}
	err = readTimelineRows(r.store, func(no timelineNo, _ timelineRow) error {
		v.known[no] = true
		return nil
	})
	if err != nil {
		return err
	}
	for _, k := range []kind{kindState, kindDatabase, kindFile, kindRelSize, kindPage} {
		if err := v.kind(ctx, r.store, k); err != nil {
			return err
		}
	}
	return nil
}

type verifier struct {
	found  func(error) error
	known  map[timelineNo]bool
	object []byte
	no     timelineNo
	lsn    pg.LSN // of the version before, which is newer
}

// valueChecks look at an entry's value, by its key's kind.
var valueChecks = map[kind]func(object, value []byte, at pg.LSN) error{
	kindState: func(_, value []byte, at pg.LSN) error {
		b, err := unseal(value)
		if err != nil {
			return err
		}
		s, err := decodeState(b)
		if err == nil && s.LSN != at {
			err = fmt.Errorf("it is of %v: %w", s.LSN, ErrCorrupt)
		}
		return err
	},
	kindDatabase: func(_, value []byte, at pg.LSN) error {
		_, err := decodeDB(value, at)
		return err
	},
	kindFile: func(object, value []byte, at pg.LSN) error {
		if _, ok := parseFile(object); !ok {
			return fmt.Errorf("its key has no path: %w", ErrCorrupt)
		}
		_, err := decodeFile(value, at)
		return err
	},
	kindRelSize: func(object, value []byte, at pg.LSN) error {
		if _, ok := parseRelFork(object); !ok {
			return fmt.Errorf("its key names no relation: %w", ErrCorrupt)
		}
		_, err := decodeRelChunk(value, at, maxLSN)
		return err
	},
	kindPage: checkPageValue,
}

func checkPageValue(object, value []byte, at pg.LSN) error {
	if _, ok := parsePage(object); !ok {
		return fmt.Errorf("its key names no block: %w", ErrCorrupt)
	}
	body, err := unseal(value)
	if err != nil {
		return err
	}
	if isImage(body) {
		return decodeImage(body, make(pg.Page, pg.BlockSize))
	}
	h, err := decodeChunkHeader(body)
	if err != nil {
		return err
	}
	links, err := h.decodeLinks(nil, at)
	for i := range links {
		l := &links[i]
		if l.start >= l.end || i > 0 && l.end <= links[i-1].end || l.flags&linkPointer == 0 && len(l.raw) != l.size {
			return fmt.Errorf("record %d of %d, %v to %v: %w", i, len(links), l.start, l.end, ErrCorrupt)
		}
	}
	return err
}

func (v *verifier) kind(ctx context.Context, s Store, k kind) (err error) {
	it := s.Iterator([]byte{byte(k)})
	defer closeIterator(it, &err)
	v.object = v.object[:0]
	n := 0
	for it.Seek([]byte{byte(k)}); it.Valid(); it.Next() {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		value, err := it.Value()
		if err == nil {
			err = v.entry(k, it.Key(), value)
		}
		if err != nil {
			if err := v.found(fmt.Errorf("entry %x: %w", it.Key(), err)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verifier) entry(k kind, key, value []byte) error {
	object, no, lsn, ok := splitVersion(key)
	if !ok || !v.known[no] {
		return fmt.Errorf("of no timeline: %w", ErrCorrupt)
	}
	if string(object) == string(v.object) && no == v.no && lsn >= v.lsn {
		return fmt.Errorf("%v behind %v: %w", lsn, v.lsn, ErrCorrupt)
	}
	v.object, v.no, v.lsn = append(v.object[:0], object...), no, lsn
	return valueChecks[k](object, value, lsn)
}
