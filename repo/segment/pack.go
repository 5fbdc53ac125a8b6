package segment

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/s2"

	"zenith/internal/durable"
	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// Pack packs the timeline's own segments that end at or below upTo, oldest first. It ends at the
// first one that a server has. It builds a packed segment in the file temp, which only one Pack at
// a time may use: on the same file system, but outside the timeline's directory, which may be
// deleted meanwhile. What a crash leaves there, the next Pack writes over. rest is called after
// each piece of work, to pause; Pack ends with its error.
func (w *WAL) Pack(upTo pg.LSN, temp string, rest func() error) error {
	size := pg.LSN(w.SegSize)
	from := w.PackedUpTo()
	if upTo < from+size {
		return nil
	}
	segments, err := w.Segments()
	if err != nil {
		return err
	}
	for _, s := range segments {
		if s.Start < from || s.Start+size > upTo {
			continue
		}
		if held, err := w.packSegment(s, temp, rest); held || err != nil {
			return err
		}
		w.packMu.Lock()
		w.packed = max(w.packed, s.Start+size)
		w.packMu.Unlock()
		if err := rest(); err != nil {
			return err
		}
	}
	return nil
}

// PackedUpTo is the LSN below which Pack has looked at all segments since New.
func (w *WAL) PackedUpTo() pg.LSN {
	w.packMu.Lock()
	defer w.packMu.Unlock()
	return w.packed
}

// packSegment packs one segment, unless a server has it.
func (w *WAL) packSegment(s Segment, temp string, rest func() error) (held bool, err error) {
	path := filepath.Join(w.Path, s.Name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if w.timeline.Held(s.Name) {
		return true, nil
	}
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	if packed, err := isPacked(path); packed || err != nil || st.Size() != int64(w.SegSize) {
		return false, err
	}
	if err := packFile(f, temp, w.SegSize, rest); err != nil {
		return false, err
	}
	w.packMu.Lock()
	defer w.packMu.Unlock()
	now, err := os.Stat(path)
	if err != nil || w.timeline.Held(s.Name) || !os.SameFile(st, now) {
		return true, os.Remove(temp) // the segment was removed meanwhile, or a server has it now
	}
	return false, w.replace(s, temp)
}

// replace puts the file temp in a segment's place. The caller has packMu.
func (w *WAL) replace(s Segment, temp string) error {
	err := durable.Rename(temp, filepath.Join(w.Path, s.Name))
	w.forget(s.Start)
	return err
}

// Unpack makes the timeline's own segment of that name a plain file again if it is packed, so that a
// server can have it in its pg_wal. It builds the file in temp, on the same file system. A segment
// that is not there is no error.
func (w *WAL) Unpack(name, temp string) error {
	w.packMu.Lock()
	defer w.packMu.Unlock()
	path := filepath.Join(w.Path, name)
	packed, err := isPacked(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || !packed {
		return err
	}
	if err := unpackFile(path, temp); err != nil {
		return err
	}
	_, start, _ := xlog.ParseSegmentName(name, w.SegSize)
	return w.replace(Segment{Name: name, Start: start}, temp)
}

// packFile writes the packed form of the segment from, of size bytes, to a new file at to, durably.
// rest is called after each frame. A failure leaves no file.
func packFile(from *os.File, to string, size int, rest func() error) error {
	return durable.Create(to, 0o600, func(f *os.File) error { return packInto(f, from, size, rest) })
}

// packInto writes the packed form to f, which is empty.
func packInto(f, from *os.File, size int, rest func() error) error {
	le, frames := binary.LittleEndian, (size+packFrame-1)/packFrame
	head := append(make([]byte, 0, packFixed+4*frames+4), packMagic...)
	head = le.AppendUint32(le.AppendUint32(head, uint32(size)), packFrame)
	buf, packed, at := make([]byte, packFrame), make([]byte, s2.MaxEncodedLen(packFrame)), int64(0)
	out := bufio.NewWriterSize(io.NewOffsetWriter(f, int64(cap(head))), 128<<10)
	for off := 0; off < size; off += packFrame {
		plain := buf[:min(packFrame, size-off)]
		if _, err := from.ReadAt(plain, int64(off)); err != nil {
			return err
		}
		frame, err := packedFrame(packed, plain)
		if err != nil {
			return fmt.Errorf("%s: frame at %d: %w", from.Name(), off, err)
		}
		if _, err := out.Write(frame); err != nil {
			return err
		}
		at += int64(len(frame))
		head = le.AppendUint32(head, uint32(at))
		if err := rest(); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	head = le.AppendUint32(head, crc32.Checksum(head, castagnoli))
	_, err := f.WriteAt(head, 0)
	return err
}

// packedFrame gives the frame for plain: compressed into room, or plain itself if that is no longer.
// It decompresses the frame again and compares: a frame that was wrong would destroy WAL.
func packedFrame(room, plain []byte) ([]byte, error) {
	packed := s2.EncodeBetter(room, plain)
	if len(packed) >= len(plain) {
		return plain, nil
	}
	again, err := unpackFrame(packed, len(plain))
	if err == nil && !bytes.Equal(again, plain) {
		err = fmt.Errorf("it is another after decompression: %w", pg.ErrCorrupt)
	}
	return packed, err
}

// unpackFile writes the plain form of the packed segment at from to a new file at to, durably. A
// failure leaves no file.
func unpackFile(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	p, err := readIndex(f)
	if err != nil {
		return err
	}
	return durable.Create(to, 0o600, func(out *os.File) error {
		for i := range p.ends {
			b, err := p.read(f, i)
			if err != nil {
				return fmt.Errorf("%s: %w", from, err)
			}
			if _, err := out.Write(b); err != nil {
				return err
			}
		}
		return nil
	})
}
