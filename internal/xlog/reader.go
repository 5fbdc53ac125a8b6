package xlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"zenith/internal/pg"
)

// Config says what WAL is to be expected.
type Config struct {
	Version *pg.Version // whose WAL it is; there is no default
	SegSize int         // bytes in a segment; 0 means DefaultSegSize
	SysID   uint64      // system identifier that long page headers must carry; 0: any
	TLI     pg.TLI      // PostgreSQL's timeline, for what is written
}

func (c Config) withDefaults() Config {
	if c.SegSize == 0 {
		c.SegSize = DefaultSegSize
	}
	return c
}

// Reader reads one record after the other, as XLogReadRecord does. It is not safe for
// use by several goroutines.
type Reader struct {
	cfg Config
	win window

	next pg.LSN // end of the last record: where the next is sought
	prev pg.LSN // start of the last record: xl_prev of the next; 0 if not known
	asm  []byte // a record that lies on several pages, put together

	hdr   PageHeader // of the page at hdrAt, checked; hdrAt is invalidLSN if none is
	hdrAt pg.LSN

	lastPage pg.LSN // the page on which the last record ended, and its timeline
	lastTLI  pg.TLI
	seg      pg.LSN // a segment whose first page is known to be this cluster's
	reason   error

	aborted, missing pg.LSN // see Aborted; 0: there is no such record
}

const invalidLSN = ^pg.LSN(0)

// NewReader makes a reader whose first record is the one behind start: start is the
// EndLSN of the record before it, or the record's own StartLSN.
func NewReader(src Source, cfg Config, start pg.LSN) *Reader {
	return &Reader{cfg: cfg.withDefaults(), win: window{src: src}, next: start.Align(), hdrAt: invalidLSN, seg: invalidLSN}
}

// SetPrev says where the record before the next one starts: the next record's xl_prev
// must equal it. 0 means that it is not known; it must be below the record then.
func (r *Reader) SetPrev(lsn pg.LSN) { r.prev = lsn }

// EndLSN is the end of the last record returned, or where the reader was started.
func (r *Reader) EndLSN() pg.LSN { return r.next }

// PrevLSN is the start of the last record returned, or what SetPrev said.
func (r *Reader) PrevLSN() pg.LSN { return r.prev }

// EndReason says why the last Next returned io.EOF: what stands where the next record
// would be.
func (r *Reader) EndReason() error { return r.reason }

// Aborted tells, after Next has found no record, whether there is the beginning of one that runs on over the end of a
// page: start is where it begins, and missing the page on which it does not go on. PostgreSQL calls those
// abortedRecPtr and missingContrecPtr.
func (r *Reader) Aborted() (start, missing pg.LSN, ok bool) {
	return r.aborted, r.missing, r.aborted != 0
}

// Next reads the next record into rec, whose bytes are valid until the next call.
//
// It returns io.EOF where the valid WAL ends: there are no bytes, or zeros, garbage, or
// a record that was not written to its end. Next may be called again when more may have
// been written; it reads what it has not accepted afresh. It returns a *Damage, which is
// an ErrCorrupt, if the WAL goes on behind what cannot be read, ErrVersion for another
// PostgreSQL's WAL, and the source's errors. After any error the reader stays where it is.
// A reader whose Config has no Version reads nothing.
func (r *Reader) Next(rec *Record) error {
	if r.cfg.Version == nil {
		return errNoVersion
	}
	held := r.win.n > 0
	err := r.read(rec)
	if err != nil && held && !isSourceError(err) {
		// What was in memory may be older than what is in the source.
		r.drop()
		err = r.read(rec)
	}
	if err == nil {
		return nil
	}
	r.drop()
	verdict := r.judge(err)
	if !errors.As(verdict, new(*Damage)) {
		return verdict
	}
	// The record may have been completed while we looked behind it.
	if err = r.read(rec); err == nil {
		return nil
	}
	r.drop()
	return r.judge(err)
}

func isSourceError(err error) bool {
	var se *sourceError
	return errors.As(err, &se)
}

func (r *Reader) drop() {
	r.win.drop()
	r.hdrAt = invalidLSN
}

// judge tells the end of the WAL from damage, knowing that the next record cannot be
// read because of cause.
func (r *Reader) judge(cause error) error {
	if isSourceError(cause) {
		return cause
	}
	if errors.Is(cause, ErrVersion) || errors.Is(cause, ErrCorrupt) {
		return fmt.Errorf("wal at %v: %w", r.next, cause)
	}
	proof, err := r.findProof()
	if err != nil {
		return err
	}
	if proof == 0 {
		r.reason = cause
		return io.EOF
	}
	return &Damage{At: RecordStart(r.next, r.cfg.SegSize), Proof: proof, Err: cause}
}

// read is XLogDecodeNextRecord. On success the reader stands behind the record.
func (r *Reader) read(rec *Record) error {
	r.aborted, r.missing = 0, 0
	pos := r.next
	for {
		pageAt := pos &^ (PageSize - 1)
		page, err := r.page(pageAt, ShortPageHeaderSize)
		if err != nil {
			return err
		}
		off := int(pos - pageAt)
		if off == 0 {
			off = r.hdr.Size()
			pos += pg.LSN(off)
		}
		if off < r.hdr.Size() {
			return fmt.Errorf("record cannot start within the page header at %v", pos)
		}
		if off == r.hdr.Size() && r.hdr.Info&pageFirstIsContRecord != 0 {
			return fmt.Errorf("at %v a record goes on that started before", pos)
		}
		if len(page) < min(PageSize, off+RecordHeaderSize) {
			if page, err = r.page(pageAt, min(PageSize, off+RecordHeaderSize)); err != nil {
				return err
			}
		}
		raw, end, overwritten, err := r.record(page, pageAt, off)
		if err != nil {
			return err
		}
		if overwritten != 0 {
			pos = overwritten
			continue
		}
		if err := Decode(r.cfg.Version, raw, pos, end, rec); err != nil {
			return err
		}
		r.prev, r.next = pos, end
		r.lastPage, r.lastTLI = r.hdrAt, r.hdr.TLI
		return nil
	}
}

// record gives the bytes of the record that starts at offset off of the page, and where
// it ends. If it was never completed, and the WAL goes on in its place, overwritten is
// the page on which it does.
func (r *Reader) record(page []byte, pageAt pg.LSN, off int) (raw []byte, end, overwritten pg.LSN, err error) {
	pos := pageAt + pg.LSN(off)
	total := binary.LittleEndian.Uint32(page[off:])
	if total < RecordHeaderSize {
		return nil, 0, 0, fmt.Errorf("record length is %d at %v", total, pos)
	}
	if off+RecordHeaderSize <= PageSize {
		if err := r.checkHeader(page[off:], pos); err != nil {
			return nil, 0, 0, err
		}
	}
	if int64(off)+int64(total) <= PageSize {
		if len(page) < off+int(total) {
			if page, err = r.page(pageAt, off+int(total)); err != nil {
				return nil, 0, 0, err
			}
		}
		raw = page[off : off+int(total) : off+int(total)]
		end = (pos + pg.LSN(total)).Align()
	} else {
		raw, end, overwritten, err = r.assemble(pageAt, off, total)
		if err != nil || overwritten != 0 {
			return nil, 0, overwritten, err
		}
	}
	if stored := binary.LittleEndian.Uint32(raw[20:]); stored != RecordCRC(raw) {
		return nil, 0, 0, fmt.Errorf("record checksum is wrong at %v", pos)
	}
	if RmgrID(raw[17]) == RmXLOG && raw[16]&0xF0 == XLOGSwitch {
		seg := pg.LSN(r.cfg.SegSize)
		end = (end + seg - 1) &^ (seg - 1)
	}
	return raw, end, 0, nil
}

// assemble puts together a record that runs on over page ends. Memory is taken only as
// pages come that announce its continuation, whatever length it claims.
func (r *Reader) assemble(pageAt pg.LSN, off int, total uint32) (raw []byte, end, overwritten pg.LSN, err error) {
	page, err := r.page(pageAt, PageSize)
	if err != nil {
		return nil, 0, 0, err
	}
	pos := pageAt + pg.LSN(off)
	if cap(r.asm) > keepRecord {
		r.asm = nil
	}
	r.asm = append(r.asm[:0], page[off:]...)
	checked := len(r.asm) >= RecordHeaderSize
	for len(r.asm) < int(total) {
		pageAt += PageSize
		r.aborted, r.missing = pos, pageAt // unless it goes on there
		if page, err = r.page(pageAt, ShortPageHeaderSize); err != nil {
			return nil, 0, 0, err
		}
		if r.hdr.Info&r.cfg.Version.OverwriteContRecord != 0 {
			r.aborted, r.missing = 0, 0
			return nil, 0, pageAt, nil
		}
		if r.hdr.Info&pageFirstIsContRecord == 0 || uint64(total) != uint64(r.hdr.RemLen)+uint64(len(r.asm)) {
			return nil, 0, 0, fmt.Errorf("page %v does not continue the record at %v: info %04X, %d bytes left, want %d",
				pageAt, pos, r.hdr.Info, r.hdr.RemLen, int(total)-len(r.asm))
		}
		size := r.hdr.Size()
		stop := min(PageSize, size+int(r.hdr.RemLen))
		if len(page) < stop {
			if page, err = r.page(pageAt, stop); err != nil {
				return nil, 0, 0, err
			}
		}
		r.aborted, r.missing = 0, 0
		r.asm = append(r.asm, page[size:stop]...)
		end = (pageAt + pg.LSN(stop)).Align()
		if !checked {
			if err := r.checkHeader(r.asm, pos); err != nil {
				return nil, 0, 0, err
			}
			checked = true
		}
	}
	return r.asm, end, 0, nil
}

// keepRecord is how much memory for records on several pages is kept from one to the next.
const keepRecord = 1 << 20

// checkHeader is ValidXLogRecordHeader.
func (r *Reader) checkHeader(raw []byte, pos pg.LSN) error {
	if id := RmgrID(raw[17]); id > RmMax && id < RmMinCustom {
		return fmt.Errorf("record at %v has resource manager %d", pos, id)
	}
	prev := pg.LSN(binary.LittleEndian.Uint64(raw[8:]))
	if prev != r.prev && r.prev != 0 || prev >= pos {
		return fmt.Errorf("record at %v says the one before it is at %v, not %v", pos, prev, r.prev)
	}
	return nil
}

// page is ReadPageInternal: need bytes at least of the page at, whose header has been
// checked and is in r.hdr.
func (r *Reader) page(at pg.LSN, need int) ([]byte, error) {
	if r.hdrAt == at && r.win.has(at, need) {
		return r.win.page(at, need)
	}
	page, err := r.win.page(at, need)
	if err != nil {
		return nil, err
	}
	r.hdrAt = invalidLSN
	hdr := parsePageHeader(page)
	if err := hdr.check(at, &r.cfg); err != nil {
		return nil, err
	}
	if len(page) < hdr.Size() {
		return nil, errShortWAL
	}
	if at > r.lastPage && hdr.TLI < r.lastTLI {
		return nil, fmt.Errorf("wal page %v is of timeline %d, after timeline %d", at, hdr.TLI, r.lastTLI)
	}
	if err := r.checkSegment(at); err != nil {
		return nil, err
	}
	r.hdr, r.hdrAt = hdr, at
	return page, nil
}

// checkSegment looks, once for each segment, at the segment's first page, which alone
// tells whose WAL it is. What is wrong there otherwise is found when it is read.
func (r *Reader) checkSegment(at pg.LSN) error {
	seg := at &^ pg.LSN(r.cfg.SegSize-1)
	if seg == r.seg {
		return nil
	}
	if seg != at {
		var b [LongPageHeaderSize]byte
		n, err := readMost(r.win.src, b[:], seg)
		if err != nil {
			return err
		}
		hdr := parsePageHeader(b[:n])
		if err := hdr.check(seg, &r.cfg); errors.Is(err, ErrVersion) || errors.Is(err, ErrCorrupt) {
			return err
		}
	}
	r.seg = seg
	return nil
}
