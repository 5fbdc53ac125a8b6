package tenants

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
)

// A push is a stream of frames, numbers big endian:
//
//	kind u8 | length u32 | body of that length
//
// It begins with what the receiver lacks to make the timeline. For one without an ancestor
// that is WAL before its start, the image of its start and frameBegin; for a branch of one
// that is there, its first files and frameBegin; for one that is there, nothing. Then come
// files that do not follow from WAL, the WAL from offer.From to offer.To, and frameEnd.
type frameKind byte

const (
	frameWAL      frameKind = 'W' // LSN u64 | bytes
	frameState    frameKind = 'S' // a control.State
	frameDatabase frameKind = 'D' // spc u32, db u32
	frameRelation frameKind = 'R' // spc u32, db u32, rel u32, fork u8 | blocks u32
	framePages    frameKind = 'P' // of the last relation: block u32 | pages
	frameFile     frameKind = 'F' // LSN u64 | part u8 | length of path u16 | path | content
	frameMore     frameKind = 'M' // of the file before it: content
	frameBegin    frameKind = 'B' // nothing
	frameEnd      frameKind = 'E' // nothing
)

const (
	frameHeader = 1 + 4
	maxFrame    = 2 << 20
	maxOwnFile  = 1 << 30   // bytes; a two-phase file is the longest
	fileAtOnce  = 1 << 20   // bytes in a frame
	pagesAtOnce = 16        // in a frame
	walAtOnce   = 128 << 10 // bytes in a frame
)

// frameWriter writes frames and counts bytes.
type frameWriter struct {
	w    *bufio.Writer
	sent int64
}

// write writes a frame whose body is in parts.
func (f *frameWriter) write(kind frameKind, parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	head := binary.BigEndian.AppendUint32([]byte{byte(kind)}, uint32(n))
	f.sent += int64(len(head) + n)
	if _, err := f.w.Write(head); err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := f.w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// What the part of a frameFile says of the content.
const (
	fileRemoved byte = iota
	fileWhole
	fileBegins // fileAtOnce bytes; frameMore follows, up to and with the first shorter one
)

// file writes a file in as many frames as it needs.
func (f *frameWriter) file(own repo.OwnFile) error {
	part, rest := fileWhole, own.Content
	switch {
	case own.Content == nil:
		part = fileRemoved
	case len(rest) >= fileAtOnce:
		part, rest = fileBegins, rest[:fileAtOnce]
	}
	head := append(binary.BigEndian.AppendUint64(nil, uint64(own.LSN)), part)
	head = binary.BigEndian.AppendUint16(head, uint16(len(own.Path)))
	err := f.write(frameFile, head, []byte(own.Path), rest)
	for at := fileAtOnce; part == fileBegins && err == nil; at += fileAtOnce {
		more := own.Content[at:min(at+fileAtOnce, len(own.Content))]
		if err = f.write(frameMore, more); len(more) < fileAtOnce {
			break
		}
	}
	return err
}

func (f *frameWriter) relation(rf pg.RelFork, n pg.BlockNumber) error {
	var b []byte
	for _, v := range []uint32{uint32(rf.SpcOID), uint32(rf.DBOID), uint32(rf.RelNumber)} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	b = append(b, byte(rf.Fork))
	return f.write(frameRelation, binary.BigEndian.AppendUint32(b, uint32(n)))
}

// frame is a frame that was read. The next read overwrites its body.
type frame struct {
	kind frameKind
	body []byte
}

// frameReader reads frames.
type frameReader struct {
	r   *bufio.Reader
	buf []byte
}

func (f *frameReader) next() (frame, error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return frame{}, brokenOff(err)
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return frame{}, badFrame("%q of %d bytes", head[0], n)
	}
	if cap(f.buf) < int(n) {
		f.buf = make([]byte, n)
	}
	body := f.buf[:n]
	if _, err := io.ReadFull(f.r, body); err != nil {
		return frame{}, brokenOff(err)
	}
	return frame{frameKind(head[0]), body}, nil
}

// brokenOff turns the end of a stream before frameEnd into an error of the protocol.
func brokenOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return api.Errorf(api.ErrProtocol, "push: the stream ends in the middle")
	}
	return err
}

func badFrame(format string, args ...any) error {
	return api.Errorf(api.ErrProtocol, "push: bad frame: %s", fmt.Sprintf(format, args...))
}

// wal reads a frameWAL.
func (f frame) wal() (at pg.LSN, data []byte, err error) {
	if len(f.body) < 8 {
		return 0, nil, badFrame("WAL of %d bytes", len(f.body))
	}
	return pg.LSN(binary.BigEndian.Uint64(f.body)), f.body[8:], nil
}

// file reads the file that begins with a frameFile, to its end; what it gives is a copy.
func (r *frameReader) file(f frame) (own repo.OwnFile, err error) {
	const fixed = 8 + 1 + 2
	if len(f.body) < fixed {
		return own, badFrame("file of %d bytes", len(f.body))
	}
	n, part := int(binary.BigEndian.Uint16(f.body[9:])), f.body[8]
	if len(f.body) < fixed+n {
		return own, badFrame("file of %d bytes, whose name has %d", len(f.body), n)
	}
	own.LSN, own.Path = pg.LSN(binary.BigEndian.Uint64(f.body)), string(f.body[fixed:fixed+n])
	if part != fileRemoved {
		own.Content = append([]byte{}, f.body[fixed+n:]...)
	}
	for last := fileAtOnce; part == fileBegins && last == fileAtOnce; last = len(f.body) {
		if f, err = r.next(); err != nil {
			return own, err
		}
		if f.kind != frameMore || len(f.body) > fileAtOnce || len(own.Content)+len(f.body) > maxOwnFile {
			return own, badFrame("%q of %d bytes within a file", f.kind, len(f.body))
		}
		own.Content = append(own.Content, f.body...)
	}
	return own, nil
}

// database reads a frameDatabase.
func (f frame) database() (spc, db pg.OID, err error) {
	if len(f.body) != 8 {
		return 0, 0, badFrame("database of %d bytes", len(f.body))
	}
	return pg.OID(binary.BigEndian.Uint32(f.body)), pg.OID(binary.BigEndian.Uint32(f.body[4:])), nil
}

// relation reads a frameRelation.
func (f frame) relation() (rf pg.RelFork, n pg.BlockNumber, err error) {
	if len(f.body) != 17 || pg.ForkNumber(f.body[12]) > pg.MaxFork {
		return rf, 0, badFrame("relation of %d bytes", len(f.body))
	}
	u32 := func(at int) uint32 { return binary.BigEndian.Uint32(f.body[at:]) }
	rf.SpcOID, rf.DBOID, rf.RelNumber = pg.OID(u32(0)), pg.OID(u32(4)), pg.OID(u32(8))
	rf.Fork = pg.ForkNumber(f.body[12])
	return rf, pg.BlockNumber(u32(13)), nil
}

// pages reads a framePages of a relation with n blocks.
func (f frame) pages(n pg.BlockNumber) (first pg.BlockNumber, pages []byte, err error) {
	if len(f.body) < 4 || (len(f.body)-4)%pg.BlockSize != 0 {
		return 0, nil, badFrame("pages of %d bytes", len(f.body))
	}
	first, pages = pg.BlockNumber(binary.BigEndian.Uint32(f.body)), f.body[4:]
	if uint64(first)+uint64(len(pages)/pg.BlockSize) > uint64(n) {
		return 0, nil, badFrame("block %d of a relation of %d", first, n)
	}
	return first, pages, nil
}
