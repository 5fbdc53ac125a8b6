package repotest

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
	"zenith/repo"
)

// Log appends records to a timeline's WAL, which nobody ingests by that.
type Log struct {
	tl   *repo.Timeline
	End  pg.LSN // of the last record
	Prev pg.LSN // its start
}

// NewLog makes a Log that appends behind the timeline's head.
func NewLog(tl *repo.Timeline) *Log {
	end, prev := tl.Head()
	return &Log{tl: tl, End: end, Prev: prev}
}

// Block is a block that a record registers.
type Block struct {
	Tag  pg.BufferTag
	Init bool // BKPBLOCK_WILL_INIT: redo begins with a page of zeros
	Data []byte
}

// Rec is a record to be appended.
type Rec struct {
	Rmgr   xlog.RmgrID
	Info   uint8
	XID    pg.TransactionID
	Blocks []Block
	Main   []byte
}

// Ids and flags of access/xlogrecord.h.
const (
	blockWillInit   = 0x40
	blockHasData    = 0x20
	dataLong        = 254
	pageFirstIsCont = 1
	pageLong        = 2
)

// Add appends a record, not durably, and gives it decoded.
func (l *Log) Add(t testing.TB, r Rec) *xlog.Record {
	t.Helper()
	raw := l.encode(&r)
	rec := &xlog.Record{StartLSN: xlog.RecordStart(l.End, SegSize)}
	rec.EndLSN = l.lay(t, l.End, raw)
	if err := xlog.Decode(l.tl.Version(), raw, rec.StartLSN, rec.EndLSN, rec); err != nil {
		t.Fatal(err)
	}
	l.End, l.Prev = rec.EndLSN, rec.StartLSN
	return rec
}

func (l *Log) encode(r *Rec) []byte {
	le := binary.LittleEndian
	raw := make([]byte, xlog.RecordHeaderSize)
	le.PutUint32(raw[4:], uint32(r.XID))
	le.PutUint64(raw[8:], uint64(l.Prev))
	raw[16], raw[17] = r.Info, byte(r.Rmgr)
	for id, b := range r.Blocks {
		flags := byte(b.Tag.Fork)
		if b.Init {
			flags |= blockWillInit
		}
		if len(b.Data) > 0 {
			flags |= blockHasData
		}
		raw = append(raw, byte(id), flags)
		raw = le.AppendUint16(raw, uint16(len(b.Data)))
		for _, v := range [...]uint32{uint32(b.Tag.SpcOID), uint32(b.Tag.DBOID), uint32(b.Tag.RelNumber), uint32(b.Tag.Block)} {
			raw = le.AppendUint32(raw, v)
		}
	}
	if len(r.Main) > 0 {
		raw = le.AppendUint32(append(raw, dataLong), uint32(len(r.Main)))
	}
	for _, b := range r.Blocks {
		raw = append(raw, b.Data...)
	}
	raw = append(raw, r.Main...)
	le.PutUint32(raw, uint32(len(raw)))
	le.PutUint32(raw[20:], xlog.RecordCRC(raw))
	return raw
}

// lay writes the bytes of a record behind at, with page headers in between, and gives the record's
// end.
func (l *Log) lay(t testing.TB, at pg.LSN, raw []byte) pg.LSN {
	t.Helper()
	rest := 0
	for len(raw) > 0 {
		if at%xlog.PageSize == 0 {
			h := l.pageHeader(at, rest)
			l.write(t, at, h)
			at += pg.LSN(len(h))
		}
		n := min(len(raw), int(xlog.PageSize-at%xlog.PageSize))
		l.write(t, at, raw[:n])
		at, raw = at+pg.LSN(n), raw[n:]
		rest = len(raw)
	}
	return at.Align()
}

func (l *Log) pageHeader(at pg.LSN, rest int) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, l.tl.Version().WALMagic)
	info := uint16(0)
	if rest > 0 {
		info |= pageFirstIsCont
	}
	long := at%SegSize == 0
	if long {
		info |= pageLong
	}
	b = le.AppendUint16(b, info)
	b = le.AppendUint32(b, uint32(l.tl.Info().TLI))
	b = le.AppendUint64(b, uint64(at))
	b = le.AppendUint32(b, uint32(rest))
	b = le.AppendUint32(b, 0)
	if long {
		b = le.AppendUint64(b, SysID)
		b = le.AppendUint32(b, SegSize)
		b = le.AppendUint32(b, xlog.PageSize)
	}
	return b
}

// write puts bytes of one WAL page into the segment's file. A file that is not there is made, with
// headers on its first page and on the one that is written to.
func (l *Log) write(t testing.TB, at pg.LSN, b []byte) {
	t.Helper()
	path := l.tl.SegmentPath(at)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err := l.tl.MakeDirs(); err != nil {
			t.Fatal(err)
		}
		if f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err == nil {
			err = errors.Join(f.Truncate(SegSize), put(f, l.pageHeader(at-at%SegSize, 0), 0), put(f, l.pageHeader(at-at%xlog.PageSize, 0), (at-at%xlog.PageSize)%SegSize))
		}
	}
	if err == nil {
		err = errors.Join(put(f, b, at%SegSize), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func put(f *os.File, b []byte, off pg.LSN) error {
	_, err := f.WriteAt(b, int64(off))
	return err
}

// Commit makes the record of a transaction's commit.
func Commit(xid pg.TransactionID, at pg.TimestampTz) Rec {
	return Rec{Rmgr: xlog.RmXact, Info: xlog.XactCommit, XID: xid, Main: binary.LittleEndian.AppendUint64(nil, uint64(at))}
}
