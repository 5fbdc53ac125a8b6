package xlog

import "zenith/internal/pg"

// Seek is XLogFindNextRecord: stand before the first record that starts at lsn or
// behind it. Where no record is known to start, the page header says where the first on
// the page does. An error is what Next would return, io.EOF where there is no such
// record; the reader has moved then.
func (r *Reader) Seek(lsn pg.LSN) error {
	r.drop()
	r.prev, r.lastPage, r.lastTLI = 0, 0, 0
	if err := r.seekPage(lsn); err != nil {
		return err
	}
	var rec Record
	for {
		before := *r
		if err := r.Next(&rec); err != nil {
			return err
		}
		if rec.StartLSN >= lsn {
			// Next may have read on; the record is read again, from where it was found.
			r.next, r.prev, r.lastPage, r.lastTLI = before.next, before.prev, before.lastPage, before.lastTLI
			return nil
		}
	}
}

// seekPage moves to the first record that starts on the page of lsn, or on a later one
// if that page has only the middle of one.
func (r *Reader) seekPage(lsn pg.LSN) error {
	for at := lsn &^ (PageSize - 1); ; at += PageSize {
		r.next = at
		if _, err := r.page(at, ShortPageHeaderSize); err != nil {
			r.drop()
			return r.judge(err)
		}
		if r.hdr.Info&pageFirstIsContRecord == 0 {
			return nil
		}
		first := at + pg.LSN(r.hdr.Size()) + (pg.LSN(r.hdr.RemLen)+7)&^7
		if first <= at+PageSize {
			r.next = first
			return nil
		}
	}
}
