package store

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"zenith/internal/durable"
)

// asideUnless moves a file aside unless it is sound, or not there.
func asideUnless(path string, sound func([]byte) bool, log *slog.Logger) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && sound(b) {
		return nil
	}
	if err != nil {
		return err
	}
	aside, err := durable.MoveAside(path)
	if err != nil {
		return err
	}
	log.Warn("store's file is damaged and made anew", "file", path, "kept", aside)
	return nil
}

// soundRegistry reports whether b is badger's list of encryption keys as it is without encryption:
//
//	| random 16 | "Hello Badger" |
func soundRegistry(b []byte) bool {
	const random, text = 16, "Hello Badger"
	return len(b) == random+len(text) && string(b[random:]) == text
}

// soundDiscard reports whether b is badger's table of how much of each value log was deleted: pairs of
// a log's number and a count of bytes, 8 bytes each, in the order of the numbers, then zeros.
func soundDiscard(b []byte) bool {
	const pair, least = 16, 1 << 20
	if len(b) < least || len(b)%pair != 0 {
		return false
	}
	for last := uint64(0); len(b) > 0; b = b[pair:] {
		number := binary.BigEndian.Uint64(b)
		if number == 0 {
			return true
		}
		if number <= last || number > 1<<31 || binary.BigEndian.Uint64(b[8:]) > 1<<50 {
			return false
		}
		last = number
	}
	return true
}
