package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/klauspost/compress/s2"

	"zenith/internal/pg"
)

const (
	packMagic = "zenithW2"
	packFrame = 8 << 10            // bytes of a segment in a frame
	packFixed = len(packMagic) + 8 // bytes before the ends of the frames
	maxEnds   = 1 << 20            // a segment that claims more frames is damaged
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maxFrames is how many decompressed frames of packed segments a WAL keeps.
const maxFrames = 64

// frame is a decompressed frame of a packed segment.
type frame struct {
	seg   pg.LSN // where the segment begins
	i     int    // the frame's number in the segment
	bytes []byte // never changed; nil if there is no frame in this place
}

// index says where the frames of a packed segment are: what precedes them in the file.
type index struct {
	size, frame int      // bytes of the plain segment, and of a decompressed frame
	ends        []uint32 // where each frame ends, counted from start
	start       int64    // where the first frame begins in the file
}

// readIndex reads the index of f; nil if f is a plain segment.
func readIndex(f *os.File) (*index, error) {
	var fixed [packFixed]byte
	n, err := f.ReadAt(fixed[:], 0)
	switch {
	case n < len(fixed) && !errors.Is(err, io.EOF):
		return nil, err
	case n < len(fixed) || string(fixed[:len(packMagic)]) != packMagic:
		return nil, nil
	}
	le := binary.LittleEndian
	p := &index{size: int(le.Uint32(fixed[len(packMagic):])), frame: int(le.Uint32(fixed[len(packMagic)+4:]))}
	if p.frame <= 0 || p.frame > packFrame || p.size <= 0 || (p.size+p.frame-1)/p.frame > maxEnds {
		return nil, fmt.Errorf("%s: packed segment of %d bytes in frames of %d: %w", f.Name(), p.size, p.frame, pg.ErrCorrupt)
	}
	p.ends = make([]uint32, (p.size+p.frame-1)/p.frame)
	index := make([]byte, 4*len(p.ends)+4)
	if _, err := f.ReadAt(index, int64(packFixed)); err != nil {
		return nil, fmt.Errorf("%s: index of packed segment: %w: %w", f.Name(), pg.ErrCorrupt, err)
	}
	body := index[:len(index)-4]
	if crc32.Update(crc32.Checksum(fixed[:], castagnoli), castagnoli, body) != le.Uint32(index[len(body):]) {
		return nil, fmt.Errorf("%s: index of packed segment: its checksum is wrong: %w", f.Name(), pg.ErrCorrupt)
	}
	last := uint32(0)
	for i := range p.ends {
		if p.ends[i] = le.Uint32(body[4*i:]); p.ends[i] < last || p.ends[i]-last > packFrame {
			return nil, fmt.Errorf("%s: frame %d ends at %d: %w", f.Name(), i, p.ends[i], pg.ErrCorrupt)
		}
		last = p.ends[i]
	}
	p.start = int64(packFixed + len(index))
	return p, nil
}

// length is how many bytes of the segment are in frame i, decompressed.
func (p *index) length(i int) int { return min(p.frame, p.size-i*p.frame) }

// read gives frame i of the segment f, decompressed.
func (p *index) read(f io.ReaderAt, i int) ([]byte, error) {
	from := uint32(0)
	if i > 0 {
		from = p.ends[i-1]
	}
	b := make([]byte, p.ends[i]-from)
	if _, err := f.ReadAt(b, p.start+int64(from)); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: %w", pg.ErrCorrupt, err)
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
		return nil, fmt.Errorf("%d bytes of %d: %w", n, size, pg.ErrCorrupt)
	}
	plain, err := s2.Decode(make([]byte, size), b)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, pg.ErrCorrupt)
	}
	return plain, nil
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

// readPacked reads from offset off of f, the packed segment that begins at seg, up to the end of a
// frame.
func (w *WAL) readPacked(f *file, p []byte, seg pg.LSN, off int) (int, error) {
	if off >= f.packed.size {
		return 0, io.EOF
	}
	i := off / f.packed.frame
	b := w.unpacked(seg, i)
	if b == nil {
		var err error
		if b, err = f.packed.read(f.from, i); err != nil {
			return 0, fmt.Errorf("%s: %w", w.SegmentPath(seg), err)
		}
		w.mu.Lock()
		w.frames[w.stale] = frame{seg, i, b}
		w.stale = (w.stale + 1) % maxFrames
		w.mu.Unlock()
	}
	return copy(p, b[off-i*f.packed.frame:]), nil
}

// unpacked gives the bytes of a frame that was decompressed before; nil if they are not here any
// more.
func (w *WAL) unpacked(seg pg.LSN, i int) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range w.frames {
		if f := &w.frames[k]; f.i == i && f.seg == seg {
			return f.bytes
		}
	}
	return nil
}
