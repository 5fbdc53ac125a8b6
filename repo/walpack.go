package repo

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
)

// A packed segment has the name of the segment that it took the place of; its first bytes,
// with which no WAL page begins, tell the one from the other:
//
//	magic [8] | segment's bytes u32 | a frame's bytes u32 | frame ends u32 each | CRC-32C u32 of all that
//
// and then the frames: stretches of the segment, each compressed with s2, or as it is where
// that saves nothing. They are short, and s2 it is, because a page is rebuilt from records
// that lie in as many frames: zstd in frames of 32 KiB saves a third more, and takes ten
// times as long to read a record. All of it is replaced at once, by a rename.
const (
	packMagic  = "zenithW2"
	packFrame  = 8 << 10
	packFixed  = len(packMagic) + 8
	maxPackEnd = 1 << 20 // frames in the longest segment that is believed
)

// packedWAL is a packed segment that is open.
type packedWAL struct {
	size, frame int
	ends        []uint32 // of the frames, from the first one's start on
	start       int64    // of the first
}

// openPacked reads the index of f; nil if f is not packed.
func openPacked(f *os.File) (*packedWAL, error) {
	var fixed [packFixed]byte
	n, err := f.ReadAt(fixed[:], 0)
	switch {
	case n < len(fixed) && !errors.Is(err, io.EOF):
		return nil, err
	case n < len(fixed) || string(fixed[:len(packMagic)]) != packMagic:
		return nil, nil
	}
	le := binary.LittleEndian
	p := &packedWAL{size: int(le.Uint32(fixed[len(packMagic):])), frame: int(le.Uint32(fixed[len(packMagic)+4:]))}
	if p.frame <= 0 || p.frame > packFrame || p.size <= 0 || (p.size+p.frame-1)/p.frame > maxPackEnd {
		return nil, fmt.Errorf("%s: packed segment of %d bytes in frames of %d: %w", f.Name(), p.size, p.frame, ErrCorrupt)
	}
	p.ends = make([]uint32, (p.size+p.frame-1)/p.frame)
	index := make([]byte, 4*len(p.ends)+4)
	if _, err := f.ReadAt(index, int64(packFixed)); err != nil {
		return nil, fmt.Errorf("%s: index of packed segment: %w: %w", f.Name(), ErrCorrupt, err)
	}
	body := index[:len(index)-4]
	if crc32.Update(crc32.Checksum(fixed[:], castagnoli), castagnoli, body) != le.Uint32(index[len(body):]) {
		return nil, fmt.Errorf("%s: index of packed segment: its checksum is wrong: %w", f.Name(), ErrCorrupt)
	}
	last := uint32(0)
	for i := range p.ends {
		if p.ends[i] = le.Uint32(body[4*i:]); p.ends[i] < last || p.ends[i]-last > packFrame {
			return nil, fmt.Errorf("%s: frame %d ends at %d: %w", f.Name(), i, p.ends[i], ErrCorrupt)
		}
		last = p.ends[i]
	}
	p.start = int64(packFixed + len(index))
	return p, nil
}

// length is how many bytes of the segment frame i has.
func (p *packedWAL) length(i int) int { return min(p.frame, p.size-i*p.frame) }

// read gives frame i.
func (p *packedWAL) read(f io.ReaderAt, i int) ([]byte, error) {
	from := uint32(0)
	if i > 0 {
		from = p.ends[i-1]
	}
	b := make([]byte, p.ends[i]-from)
	if _, err := f.ReadAt(b, p.start+int64(from)); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return nil, fmt.Errorf("frame %d: %w", i, err)
	}
	if len(b) == p.length(i) {
		return b, nil
	}
	plain, err := unpackFrame(b, p.length(i))
	if err != nil {
		return nil, fmt.Errorf("frame %d: %w", i, err)
	}
	return plain, nil
}

func unpackFrame(b []byte, size int) ([]byte, error) {
	n, err := s2.DecodedLen(b)
	if err != nil || n != size {
		return nil, fmt.Errorf("%d bytes of %d: %w", n, size, ErrCorrupt)
	}
	plain, err := s2.Decode(make([]byte, size), b)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, ErrCorrupt)
	}
	return plain, nil
}

// packFile writes the packed form of the segment from, of size bytes, to a new file to,
// durably. rest is called between frames.
func packFile(from *os.File, to string, size int, rest func() error) (err error) {
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
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
	if _, err := f.WriteAt(head, 0); err != nil {
		return err
	}
	return f.Sync()
}

// packedFrame packs plain into room, or gives plain, and makes sure that it comes back.
func packedFrame(room, plain []byte) ([]byte, error) {
	packed := s2.EncodeBetter(room, plain)
	if len(packed) >= len(plain) {
		return plain, nil
	}
	again, err := unpackFrame(packed, len(plain))
	if err == nil && !bytes.Equal(again, plain) {
		err = fmt.Errorf("it does not come back: %w", ErrCorrupt)
	}
	return packed, err
}

// isPacked reports whether the file at path is a packed segment.
func isPacked(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var magic [len(packMagic)]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return string(magic[:]) == packMagic, nil
}

// PlainWAL makes a segment of t's own, which may be packed, a plain file again, so that a
// server can have it in its pg_wal. Nothing for one that is not there.
func (t *Timeline) PlainWAL(segment string) error {
	t.packMu.Lock()
	defer t.packMu.Unlock()
	path := filepath.Join(t.WALDir(), segment)
	packed, err := isPacked(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || !packed {
		return err
	}
	temp := filepath.Join(t.dir(), "unpacking")
	if err := unpackFile(path, temp); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return t.replaceSegment(segment, temp)
}

func unpackFile(from, to string) (err error) {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	p, err := openPacked(f)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for i := range p.ends {
		b, err := p.read(f, i)
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		if _, err := out.Write(b); err != nil {
			return err
		}
	}
	return out.Sync()
}
