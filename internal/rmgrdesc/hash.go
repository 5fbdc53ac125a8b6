package rmgrdesc

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"zenith/internal/xlog"
)

// hashDescs are hash_desc.
var hashDescs = descs{
	0x0: hashInitMetaPage,
	0x1: hashInitBitmapPage,
	0x2: hashInsert,
	0x3: hashAddOverflowPage,
	0x4: hashSplitAllocatePage,
	0x6: hashSplitComplete,
	0x7: hashMovePageContents,
	0x8: hashSqueezePage,
	0x9: hashDelete,
	0xB: hashUpdateMetaPage,
	0xC: hashVacuumOnePage,
}

func hashInitMetaPage(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHashInitMetaPage(rec)
	return w.text(err, "num_tuples %s, fillfactor %d", double(x.NTuples), x.FillFactor)
}

func hashInitBitmapPage(w *writer, rec *xlog.Record) error {
	size, err := xlog.ParseHashInitBitmapPage(rec)
	return w.text(err, "bmsize %d", size)
}

func hashInsert(w *writer, rec *xlog.Record) error {
	off, err := xlog.ParseHashInsert(rec)
	return w.text(err, "off %d", off)
}

func hashAddOverflowPage(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHashAddOverflowPage(rec)
	return w.text(err, "bmsize %d, bmpage_found %s", x.BitmapSize, letter(x.BitmapFound))
}

func hashSplitAllocatePage(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHashSplitAllocatePage(rec)
	return w.text(err, "new_bucket %d, meta_page_masks_updated %s, issplitpoint_changed %s",
		x.NewBucket, letter(x.UpdateMasks), letter(x.UpdateSplitpoint))
}

func hashSplitComplete(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHashSplitComplete(rec)
	return w.text(err, "old_bucket_flag %d, new_bucket_flag %d", x.OldFlag, x.NewFlag)
}

func hashMovePageContents(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHashMovePageContents(rec)
	return w.text(err, "ntups %d, is_primary %s", x.NTuples, letter(x.IsPrimary))
}

func hashSqueezePage(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHashSqueezePage(rec)
	return w.text(err, "prevblkno %d, nextblkno %d, ntups %d, is_primary %s", x.Prev, x.Next, x.NTuples, letter(x.IsPrimary))
}

func hashDelete(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHashDelete(rec)
	return w.text(err, "clear_dead_marking %s, is_primary %s", letter(x.ClearDeadMarking), letter(x.IsPrimary))
}

func hashUpdateMetaPage(w *writer, rec *xlog.Record) error {
	n, err := xlog.ParseHashUpdateMetaPage(rec)
	return w.text(err, "ntuples %s", double(n))
}

func hashVacuumOnePage(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseHashVacuumOnePage(rec)
	return w.text(err, "ntuples %d, latestRemovedXid %d", x.NTuples, x.LatestRemovedXID)
}

// double is a double as %g prints it in PostgreSQL.
func double(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 0):
		return strings.TrimPrefix(fmt.Sprintf("%+finity", f), "+")
	default:
		return strconv.FormatFloat(f, 'g', 6, 64)
	}
}
