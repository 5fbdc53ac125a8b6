package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A memtable's log and a value log have the same format:
//
//	| key id 8 | random 12 | entry | entry ... | zeros
//
//	entry:  | meta 1 | user's meta 1 | length of key, of value, expiry: uvarints | key | value | CRC-32C 4 |
//
// Entries of one transaction have a bit in meta, and one more entry ends them.
const (
	logHead = 20 // bytes before the first entry: they tell one log from another of the same name
	bitTxn  = 1 << 6
	bitEnd  = 1 << 7
	maxKey  = 1 << 16 // a longer key is damage
	maxSize = 1 << 30 // a longer value is damage

	memSuffix, valueSuffix = ".mem", ".vlog"
)

// logState says how much of a log is known to be durable.
type logState struct {
	Name  string
	Head  string // its first logHead bytes, in hexadecimal digits
	Whole int64  // the bytes that whole transactions take, from the start
}

// listLogs lists the logs in dir with a suffix, in the order of their numbers.
func listLogs(dir, suffix string) (names []string, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		if name := filepath.Base(p); logNumber(name) >= 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return logNumber(a) - logNumber(b) })
	return names, nil
}

// logNumber is the number in a log's name, or -1.
func logNumber(name string) int {
	n, err := strconv.ParseUint(strings.TrimSuffix(name, filepath.Ext(name)), 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}

// scanLog reads a log on from what was known of it, and says what is whole now. A log that is too
// short to have a head has none, and nothing whole.
func scanLog(dir string, known logState) (logState, error) {
	f, err := os.Open(filepath.Join(dir, known.Name))
	if err != nil {
		return known, err
	}
	defer f.Close()
	head := make([]byte, logHead)
	if _, err := io.ReadFull(f, head); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return logState{Name: known.Name}, nil
		}
		return known, err
	}
	if h := hex.EncodeToString(head); h != known.Head {
		known = logState{Name: known.Name, Head: h, Whole: logHead}
	}
	if _, err := f.Seek(known.Whole, io.SeekStart); err != nil {
		return known, err
	}
	r, at := bufio.NewReaderSize(f, 64<<10), known.Whole
	for {
		meta, n, err := nextEntry(r)
		if err != nil {
			return known, err
		}
		if n == 0 {
			return known, nil
		}
		at += n
		if meta&bitTxn == 0 || meta&bitEnd != 0 {
			known.Whole = at
		}
	}
}

// nextEntry reads an entry, and gives its length: 0 if there is no whole one.
func nextEntry(r *bufio.Reader) (meta byte, n int64, err error) {
	head, err := r.Peek(2 + 3*binary.MaxVarintLen64)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	if len(head) < 2 {
		return 0, 0, nil
	}
	at := 2
	var lengths [3]uint64
	for i := range lengths {
		v, used := binary.Uvarint(head[at:])
		if used <= 0 {
			return 0, 0, nil
		}
		lengths[i], at = v, at+used
	}
	if lengths[0] == 0 || lengths[0] > maxKey || lengths[1] > maxSize {
		return 0, 0, nil
	}
	meta = head[0]
	body, sum := int64(at)+int64(lengths[0]+lengths[1]), crc32.New(castagnoli)
	want := make([]byte, crc32.Size)
	if _, err = io.CopyN(sum, r, body); err == nil {
		_, err = io.ReadFull(r, want)
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return 0, 0, nil
	case err != nil:
		return 0, 0, err
	case sum.Sum32() != binary.BigEndian.Uint32(want):
		return 0, 0, nil
	}
	return meta, body + int64(len(want)), nil
}

// checkWhole reports an error unless the log is the one that was known, with all that was whole then.
func (known logState) checkWhole(dir string) error {
	now, err := scanLog(dir, logState{Name: known.Name})
	if err != nil {
		return fmt.Errorf("store's file %s: %w", filepath.Join(dir, known.Name), err)
	}
	if now.Head != known.Head || now.Whole < known.Whole {
		return fmt.Errorf("store's file %s is sound up to byte %d only, of %d that were written: %w",
			filepath.Join(dir, known.Name), now.Whole, known.Whole, ErrCorrupt)
	}
	return nil
}

// soundLog reports whether badger can open a log: it begins with a head, of a store without encryption,
// and behind that there are entries, or zeros.
func soundLog(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	start := make([]byte, logHead+2+3*binary.MaxVarintLen64)
	n, err := io.ReadFull(f, start)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	start = start[:n]
	if len(start) < logHead || binary.BigEndian.Uint64(start) != 0 {
		return false, nil
	}
	if len(bytes.Trim(start[logHead:], "\x00")) == 0 {
		return true, nil
	}
	log, err := scanLog(filepath.Dir(path), logState{Name: filepath.Base(path)})
	return log.Whole > logHead, err
}
