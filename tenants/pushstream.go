package tenants

import (
	"context"
	"encoding/binary"

	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/repo"
)

// pushStream is what is sent of one timeline.
type pushStream struct {
	tl    *repo.Timeline
	o     api.Offer
	files []repo.OwnFile
	w     frameWriter
	tell  func(done, total int64)
	total int64 // bytes to send, an estimate
}

// run writes the stream. there: the other page server has the timeline already.
func (s *pushStream) run(ctx context.Context, there bool) error {
	s.total = int64(s.o.To - s.o.From)
	if !there {
		if err := s.begin(ctx); err != nil {
			return err
		}
	}
	for _, f := range s.files {
		if f.LSN == s.o.Start {
			continue // begin has sent it
		}
		if err := s.w.file(f); err != nil {
			return err
		}
	}
	if err := s.wal(ctx, s.o.From, s.o.To); err != nil {
		return err
	}
	if err := s.w.write(frameEnd); err != nil {
		return err
	}
	return s.w.w.Flush()
}

// begin sends what the timeline is made from.
func (s *pushStream) begin(ctx context.Context) error {
	if s.o.Parent == "" {
		if err := s.image(ctx); err != nil {
			return err
		}
	} else {
		for _, f := range s.files {
			if f.LSN != s.o.Start {
				continue
			}
			if err := s.w.file(f); err != nil {
				return err
			}
		}
	}
	return s.w.write(frameBegin)
}

func (s *pushStream) wal(ctx context.Context, from, to pg.LSN) error {
	return eachWAL(ctx, s.tl, from, to, func(at pg.LSN, b []byte) error {
		s.tell(s.w.sent, s.total)
		return s.w.write(frameWAL, binary.BigEndian.AppendUint64(nil, uint64(at)), b)
	})
}

// image sends the state at the start, and the WAL that a data directory there shows: from
// the start of the segment of its last record.
func (s *pushStream) image(ctx context.Context) error {
	snap, err := s.tl.At(ctx, s.o.Start)
	if err != nil {
		return err
	}
	state := snap.State()
	if err := s.w.write(frameState, state.Encode()); err != nil {
		return err
	}
	if err := s.wal(ctx, state.Prev&^(pg.LSN(s.o.SegSize)-1), s.o.Start); err != nil {
		return err
	}
	err = snap.Databases(ctx, func(spc, db pg.OID) error {
		b := binary.BigEndian.AppendUint32(nil, uint32(spc))
		return s.w.write(frameDatabase, binary.BigEndian.AppendUint32(b, uint32(db)))
	})
	if err != nil {
		return err
	}
	if err := s.imageFiles(ctx, snap); err != nil {
		return err
	}
	err = snap.EachRelation(ctx, func(_ pg.RelFork, n pg.BlockNumber) error {
		s.total += int64(n) * pg.BlockSize
		return nil
	})
	if err != nil {
		return err
	}
	return snap.EachRelation(ctx, func(rf pg.RelFork, n pg.BlockNumber) error { return s.relation(ctx, snap, rf, n) })
}

func (s *pushStream) imageFiles(ctx context.Context, snap *repo.Snapshot) error {
	var paths []string
	err := snap.Files(ctx, "", func(path string, _ int) error {
		paths = append(paths, path)
		return nil
	})
	for _, path := range paths {
		content, rerr := snap.ReadFile(ctx, path)
		if err == nil {
			err = rerr
		}
		if err != nil {
			return err
		}
		if err = s.w.file(repo.OwnFile{Path: path, LSN: s.o.Start, Content: content}); err != nil {
			return err
		}
	}
	return err
}

// relation sends a fork's size and its pages; those that are all zeros are there without.
func (s *pushStream) relation(ctx context.Context, snap *repo.Snapshot, rf pg.RelFork, n pg.BlockNumber) error {
	if err := s.w.relation(rf, n); err != nil {
		return err
	}
	buf := make([]byte, min(int(n), pagesAtOnce)*pg.BlockSize)
	for blk := pg.BlockNumber(0); blk < n; blk += pagesAtOnce {
		s.tell(s.w.sent, s.total)
		part := buf[:int(min(n-blk, pagesAtOnce))*pg.BlockSize]
		if err := snap.ReadPages(ctx, rf.Tag(blk), len(part)/pg.BlockSize, part); err != nil {
			return err
		}
		if err := s.pages(blk, part); err != nil {
			return err
		}
	}
	return nil
}

// pages sends the runs of pages that are not all zeros.
func (s *pushStream) pages(first pg.BlockNumber, b []byte) error {
	for from := 0; from < len(b); {
		if allZero(b[from : from+pg.BlockSize]) {
			from += pg.BlockSize
			continue
		}
		to := from + pg.BlockSize
		for to < len(b) && !allZero(b[to:to+pg.BlockSize]) {
			to += pg.BlockSize
		}
		blk := binary.BigEndian.AppendUint32(nil, uint32(first)+uint32(from/pg.BlockSize))
		if err := s.w.write(framePages, blk, b[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
