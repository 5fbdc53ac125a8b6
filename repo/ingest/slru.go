package ingest

import (
	"context"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// before is what an SLRU calls PagePrecedes: page a is logically older than page b. The
// numbers that pages hold wrap around, so both the first number and the whole of b count.
func before(a, b, perPage, first uint32) bool {
	x, y := a*perPage+first+1, b*perPage+first+1
	return precedes(x, y) && precedes(x, y+perPage-1)
}

// precedes compares modulo 2^32.
func precedes(a, b uint32) bool { return int32(a-b) < 0 }

// truncateSLRU is SimpleLruTruncate: it removes the segments whose every page is older
// than the page cutoff.
func (in *Ingester) truncateSLRU(ctx context.Context, slru pg.SLRU, cutoff, perPage, first uint32) error {
	return in.dropSegments(ctx, slru, func(segno uint32) bool {
		page := segno * pg.SLRUPagesPerSegment
		return before(page, cutoff, perPage, first) && before(page+pg.SLRUPagesPerSegment-1, cutoff, perPage, first)
	})
}

// dropSegments removes the segments that goes picks among those that there are.
func (in *Ingester) dropSegments(ctx context.Context, slru pg.SLRU, goes func(segno uint32) bool) error {
	snap, err := in.tl.At(ctx, in.tl.LastLSN())
	if err != nil {
		return err
	}
	return snap.SLRUSegments(ctx, slru, func(segno uint32, _ pg.BlockNumber) error {
		if goes(segno) {
			in.batch.w.RelDrop(slru.Segment(segno), in.rec.EndLSN)
		}
		return nil
	})
}

// truncateXact is CLOG_TRUNCATE. Like SimpleLruTruncate it does nothing if the newest
// page looks older than the cutoff.
func truncateXact(ctx context.Context, in *Ingester) error {
	t, err := xlog.ParseCLOGTruncate(&in.rec)
	if err != nil {
		return err
	}
	first := uint32(pg.FirstNormalTransactionID)
	newest := uint32(in.state.CheckPoint.NextXID) / pg.XactsPerPage
	if before(newest, t.Page, pg.XactsPerPage, first) {
		in.log.Warn("pg_xact is not truncated: apparent wraparound", "page", t.Page, "newest", newest, "lsn", in.rec.StartLSN)
		return nil
	}
	return in.truncateSLRU(ctx, pg.SLRUXact, t.Page, pg.XactsPerPage, first)
}

// truncateCommitTs is COMMIT_TS_TRUNCATE.
func truncateCommitTs(ctx context.Context, in *Ingester) error {
	t, err := xlog.ParseCommitTsTruncate(&in.rec)
	if err != nil {
		return err
	}
	return in.truncateSLRU(ctx, pg.SLRUCommitTs, t.Page, pg.CommitTsPerPage, uint32(pg.FirstNormalTransactionID))
}

// What multixact.c calls FirstMultiXactId, MaxMultiXactId, and the members' segments.
const (
	firstMultiXactID     = 1
	maxMultiXactID       = 0xFFFFFFFF
	membersPerSegment    = pg.MembersPerPage * pg.SLRUPagesPerSegment
	multiXactIDsFirstRef = firstMultiXactID
)

// truncateMultiXact is XLOG_MULTIXACT_TRUNCATE_ID. The members that go are named by where
// they start and end, and may wrap around; the offsets go like those of other SLRUs, from
// the multixact before the oldest one that stays.
func truncateMultiXact(ctx context.Context, in *Ingester) error {
	t, err := xlog.ParseMultiXactTruncate(&in.rec)
	if err != nil {
		return err
	}
	from, to := uint32(t.StartMember/membersPerSegment), uint32(t.EndMember/membersPerSegment)
	err = in.dropSegments(ctx, pg.SLRUMultiMembers, func(segno uint32) bool {
		if from <= to {
			return segno >= from && segno < to
		}
		return segno >= from || segno < to
	})
	if err != nil {
		return err
	}
	return in.truncateMultiOffsets(ctx, t.EndID)
}

// truncateMultiXact19 is XLOG_MULTIXACT_TRUNCATE_ID of 19: all segments of members go that end before the page of the oldest
// one that stays.
func truncateMultiXact19(ctx context.Context, in *Ingester) error {
	t, err := xlog.ParseMultiXactTruncate(&in.rec)
	if err != nil {
		return err
	}
	segment := uint64(t.EndMember) / membersPerSegment
	err = in.dropSegments(ctx, pg.SLRUMultiMembers, func(segno uint32) bool { return uint64(segno) < segment })
	if err != nil {
		return err
	}
	return in.truncateMultiOffsets(ctx, t.EndID)
}

// truncateMultiOffsets is PerformOffsetsTruncation.
func (in *Ingester) truncateMultiOffsets(ctx context.Context, oldest pg.MultiXactID) error {
	last := uint32(oldest) - 1
	if oldest == firstMultiXactID {
		last = maxMultiXactID
	}
	perPage := in.rec.V.MultiOffsetsPerPage()
	return in.truncateSLRU(ctx, pg.SLRUMultiOffsets, last/perPage, perPage, multiXactIDsFirstRef)
}

// parameterChange is XLOG_PARAMETER_CHANGE: commit timestamps begin to be kept, from a
// page that has to exist, or are all forgotten.
func parameterChange(ctx context.Context, in *Ingester) error {
	s, err := xlog.ParseParameterChange(&in.rec)
	switch {
	case err != nil || s.TrackCommitTimestamp == in.state.Settings.TrackCommitTimestamp:
		return err
	case !s.TrackCommitTimestamp:
		return in.dropSegments(ctx, pg.SLRUCommitTs, func(uint32) bool { return true })
	}
	tag := pg.SLRUCommitTs.Page(uint32(in.state.CheckPoint.NextXID) / pg.CommitTsPerPage)
	in.batch.w.Extend(tag.RelFork, in.rec.EndLSN, tag.Block+1)
	return nil
}
