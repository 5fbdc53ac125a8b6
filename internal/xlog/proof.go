package xlog

import (
	"encoding/binary"

	"zenith/internal/pg"
)

// findProof looks behind the place where no record can be read for WAL that can only
// have been written after one was there: a record that names the place as its
// predecessor, or a later page whose address is right and from which valid records do
// not lead back before the place. It returns where that is, or 0.
//
// Segments that PostgreSQL reuses are full of old records, but none of their pages has
// the right address. A record that lies on several pages and was torn has such pages,
// but no record behind it. What a crash of the machine left behind the end has both,
// but its first record follows one that lies before the place.
func (r *Reader) findProof() (pg.LSN, error) {
	at := RecordStart(r.next, r.cfg.SegSize)
	if proof, err := r.proofOnPage(at); proof != 0 || err != nil {
		return proof, err
	}
	first := at &^ (PageSize - 1)
	segEnd := (first &^ pg.LSN(r.cfg.SegSize-1)) + pg.LSN(r.cfg.SegSize)
	for dist := pg.LSN(1); ; {
		page := min(first+dist*PageSize, segEnd)
		proof, stale, err := r.proofBehind(page, at)
		if proof != 0 || stale || err != nil || page == segEnd {
			return proof, err
		}
		if dist < denseProbes {
			dist++
		} else {
			dist *= 2
		}
	}
}

// denseProbes is how many pages behind the place are looked at one by one; beyond them
// the distance doubles.
const denseProbes = 8

// proofOnPage seeks, on the page of the unreadable record at and where that record would
// end, a valid record whose xl_prev is at.
func (r *Reader) proofOnPage(at pg.LSN) (pg.LSN, error) {
	var buf [PageSize]byte
	pageAt := at &^ (PageSize - 1)
	n, err := readMost(r.win.src, buf[:], pageAt)
	if err != nil {
		return 0, err
	}
	off := int(at - pageAt)
	if off+RecordHeaderSize <= n {
		if total := binary.LittleEndian.Uint32(buf[off:]); total >= RecordHeaderSize && total <= MaxRecord {
			after := r.skip(at, int(total))
			if ok, err := r.followsAt(after, at); ok || err != nil {
				return RecordStart(after, r.cfg.SegSize), err
			}
		}
	}
	for off += 8; off+RecordHeaderSize <= n; off += 8 {
		if pg.LSN(binary.LittleEndian.Uint64(buf[off+8:])) != at {
			continue
		}
		start := pageAt + pg.LSN(off)
		if ok, err := r.followsAt(start, at); ok || err != nil {
			return start, err
		}
	}
	return 0, nil
}

// MaxRecord is XLogRecordMaxSize of later versions: no record is longer.
const MaxRecord = 1020 << 20

// skip gives the end of a record of size bytes that starts at, page headers counted.
func (r *Reader) skip(at pg.LSN, size int) pg.LSN {
	for {
		room := PageSize - int(at%PageSize)
		if size <= room {
			return (at + pg.LSN(size)).Align()
		}
		size -= room
		at += pg.LSN(room)
		at += pg.LSN(pageHeaderSizeAt(at, r.cfg.SegSize))
	}
}

// followsAt reports whether a valid record starts at, with prev as its xl_prev.
func (r *Reader) followsAt(at, prev pg.LSN) (bool, error) {
	probe := NewReader(r.win.src, r.cfg, at)
	probe.prev = prev
	var rec Record
	err := probe.read(&rec)
	if isSourceError(err) {
		return false, err
	}
	return err == nil, nil
}

// proofBehind judges the page at, which lies behind the unreadable record failed. stale
// says that it is of a history without that record.
func (r *Reader) proofBehind(page, failed pg.LSN) (proof pg.LSN, stale bool, err error) {
	var b [LongPageHeaderSize]byte
	n, err := readMost(r.win.src, b[:], page)
	if err != nil || n < ShortPageHeaderSize {
		return 0, false, err
	}
	hdr := parsePageHeader(b[:n])
	if hdr.check(page, &r.cfg) != nil {
		return 0, false, nil
	}
	start := page + pg.LSN(hdr.Size())
	contRecord := hdr.Info&pageFirstIsContRecord != 0
	if contRecord {
		start = r.skip(start, int(hdr.RemLen))
	}
	probe := NewReader(r.win.src, r.cfg, start)
	var rec Record
	switch err := probe.read(&rec); {
	case isSourceError(err):
		return 0, false, err
	case err == nil && rec.Prev >= failed:
		return rec.StartLSN, false, nil
	case err == nil:
		return 0, true, nil
	case contRecord:
		return 0, false, nil // it may be the tail of the torn record itself
	default:
		return page, false, nil
	}
}
