package rmgrdesc

import (
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// xactDescs are xact_desc. Bit 0x80 is XLOG_XACT_HAS_INFO.
var xactDescs = descs{
	0x0: xactCommit,
	0x1: xactPrepare,
	0x2: xactAbort,
	0x3: xactCommit,
	0x4: xactAbort,
	0x5: xactAssignment,
	0x6: xactInvalidations,
}

func xactCommit(w *writer, rec *xlog.Record) error {
	c, err := parseCompletion(rec)
	if err != nil {
		return err
	}
	w.completionHead(&c)
	w.stats("", c.stats)
	w.invalidations(c.msgs, c.db, c.tablespace, c.xinfo&updateRelcacheFile != 0)
	if c.xinfo&applyFeedback != 0 {
		w.WriteString("; apply_feedback")
	}
	if c.xinfo&forceSyncCommit != 0 {
		w.WriteString("; sync")
	}
	w.completionOrigin(&c, rec.Origin)
	return nil
}

func xactAbort(w *writer, rec *xlog.Record) error {
	c, err := parseCompletion(rec)
	if err != nil {
		return err
	}
	w.completionHead(&c)
	w.completionOrigin(&c, rec.Origin)
	w.stats("", c.stats)
	return nil
}

// completionHead writes what commit and abort begin with.
func (w *writer) completionHead(c *completion) {
	if c.twophaseXid != 0 {
		w.printf("%d: ", c.twophaseXid)
	}
	w.timestamp(c.time)
	w.rels("rels", c.rels)
	w.subxacts(c.subxacts)
}

func (w *writer) completionOrigin(c *completion, origin uint16) {
	if c.xinfo&hasOrigin != 0 {
		w.origin(origin, c.originLSN, c.originTime)
	}
}

func (w *writer) rels(label string, nodes cstruct) {
	if len(nodes) == 0 {
		return
	}
	w.printf("; %s:", label)
	for off := 0; off < len(nodes); off += nodeSize {
		w.printf(" %s", path(nodes.node(off), uint32(pg.MainFork)))
	}
}

func (w *writer) subxacts(xids cstruct) {
	if len(xids) == 0 {
		return
	}
	w.WriteString("; subxacts:")
	for off := 0; off < len(xids); off += 4 {
		w.printf(" %d", xids.u32(off))
	}
}

func (w *writer) stats(label string, items cstruct) {
	if len(items) == 0 {
		return
	}
	w.printf("; %sdropped stats:", label)
	for off := 0; off < len(items); off += statsItemSize {
		w.printf(" %d/%d/%d", items.i32(off), items.u32(off+4), items.u32(off+8))
	}
}

func (w *writer) origin(id uint16, lsn pg.LSN, time int64) {
	w.printf("; origin: node %d, lsn %v, at ", id, lsn)
	w.timestamp(time)
}

func xactAssignment(w *writer, rec *xlog.Record) error {
	s, err := view(rec.MainData, "xl_xact_assignment", 8)
	if err != nil {
		return err
	}
	w.printf("xtop %d: subxacts:", s.u32(0))
	return w.u32s(s[8:], "xl_xact_assignment", int64(s.i32(4)))
}

func xactInvalidations(w *writer, rec *xlog.Record) error {
	c := sections{rest: rec.MainData}
	msgs := c.list("xl_xact_invals", invalMsgSize)
	if c.err == nil {
		w.invalidations(msgs, 0, 0, false)
	}
	return c.err
}

func xactPrepare(w *writer, rec *xlog.Record) error {
	p, err := parsePrepare(rec.MainData)
	if err != nil {
		return err
	}
	w.printf("gid %s: ", p.gid)
	w.timestamp(p.time)
	w.rels("rels(commit)", p.commitRels)
	w.rels("rels(abort)", p.abortRels)
	w.stats("commit ", p.commitStats)
	w.stats("abort ", p.abortStats)
	w.subxacts(p.subxacts)
	w.invalidations(p.msgs, p.db, 0, p.initFile)
	if rec.Origin != 0 {
		w.origin(rec.Origin, p.originLSN, p.originTime)
	}
	return nil
}

// Sizes of the elements of a transaction record's lists.
const (
	nodeSize      = 12 // RelFileNode
	statsItemSize = 12 // xl_xact_stats_item
)

// Bits of xl_xact_xinfo, in the order in which their sections follow.
const (
	hasDBInfo          = 1 << 0
	hasSubxacts        = 1 << 1
	hasRelFileNodes    = 1 << 2
	hasDroppedStats    = 1 << 8
	hasInvals          = 1 << 3
	hasTwophase        = 1 << 4
	hasGID             = 1 << 7
	hasOrigin          = 1 << 5
	applyFeedback      = 1 << 29
	updateRelcacheFile = 1 << 30
	forceSyncCommit    = 1 << 31
)

// completion is the record of a commit or an abort. (Package xlog parses the same
// bytes for what replay needs of them; here they are all wanted.)
type completion struct {
	time, originTime            int64
	xinfo                       uint32
	db, tablespace              uint32
	twophaseXid                 uint32
	originLSN                   pg.LSN
	subxacts, rels, stats, msgs cstruct
}

// parseCompletion is ParseCommitRecord and ParseAbortRecord: an abort just has no
// invalidation messages.
func parseCompletion(rec *xlog.Record) (c completion, err error) {
	in := sections{rest: rec.MainData}
	c.time = int64(in.take("xl_xact_commit", 8).u64(0))
	if rec.Info&0x80 != 0 {
		c.xinfo = in.take("xl_xact_xinfo", 4).u32(0)
	}
	if c.xinfo&hasDBInfo != 0 {
		s := in.take("xl_xact_dbinfo", 8)
		c.db, c.tablespace = s.u32(0), s.u32(4)
	}
	for _, l := range []struct {
		bit  uint32
		list *cstruct
		size int
		name string
	}{
		{hasSubxacts, &c.subxacts, 4, "xl_xact_subxacts"},
		{hasRelFileNodes, &c.rels, nodeSize, "xl_xact_relfilenodes"},
		{hasDroppedStats, &c.stats, statsItemSize, "xl_xact_stats_items"},
		{hasInvals, &c.msgs, invalMsgSize, "xl_xact_invals"},
	} {
		if c.xinfo&l.bit != 0 {
			*l.list = in.list(l.name, l.size)
		}
	}
	if c.xinfo&hasTwophase != 0 {
		c.twophaseXid = in.take("xl_xact_twophase", 4).u32(0)
		if c.xinfo&hasGID != 0 {
			in.take("gid", len(cstring(in.rest))+1)
		}
	}
	if c.xinfo&hasOrigin != 0 {
		s := in.take("xl_xact_origin", 16)
		c.originLSN, c.originTime = pg.LSN(s.u64(0)), int64(s.u64(8))
	}
	return c, in.err
}

// prepare is the record of PREPARE TRANSACTION.
type prepare struct {
	gid                     string
	db                      uint32
	initFile                bool
	time, originTime        int64
	originLSN               pg.LSN
	subxacts                cstruct
	commitRels, abortRels   cstruct
	commitStats, abortStats cstruct
	msgs                    cstruct
}

// parsePrepare is ParsePrepareRecord.
func parsePrepare(b []byte) (p prepare, err error) {
	in := sections{rest: b, aligned: true}
	s := in.take("xl_xact_prepare", 72)
	p = prepare{
		db: s.u32(12), initFile: s.u8(52) != 0, time: int64(s.u64(16)),
		originLSN: pg.LSN(s.u64(56)), originTime: int64(s.u64(64)),
	}
	p.gid = cstring(in.take("gid", int(s.u16(54))))
	for _, l := range []struct {
		list *cstruct
		off  int
		size int
	}{
		{&p.subxacts, 28, 4},
		{&p.commitRels, 32, nodeSize},
		{&p.abortRels, 36, nodeSize},
		{&p.commitStats, 40, statsItemSize},
		{&p.abortStats, 44, statsItemSize},
		{&p.msgs, 48, invalMsgSize},
	} {
		*l.list = in.elements("xl_xact_prepare", int64(s.i32(l.off)), l.size)
	}
	return p, in.err
}

// sections reads structs and lists that follow each other. After an error it gives
// empty lists and structs of zeros, and err says which one was the first.
type sections struct {
	rest    []byte
	aligned bool // each section begins at a MAXALIGN boundary
	err     error
}

// take gives the next n bytes.
func (in *sections) take(name string, n int) cstruct {
	if in.err == nil && len(in.rest) < n {
		in.err = fmt.Errorf("%s is %d bytes, want %d: %w", name, len(in.rest), n, xlog.ErrCorrupt)
	}
	if in.err != nil {
		return make(cstruct, n)
	}
	s := cstruct(in.rest[:n])
	if in.aligned {
		n = min(pg.MaxAlign(n), len(in.rest))
	}
	in.rest = in.rest[n:]
	return s
}

// elements gives the next n elements of some size.
func (in *sections) elements(name string, n int64, size int) cstruct {
	if in.err == nil {
		_, in.err = elements(in.rest, name, n, size)
	}
	if in.err != nil {
		return nil
	}
	return in.take(name, int(n)*size)
}

// list gives the elements of a list that begins with their number.
func (in *sections) list(name string, size int) cstruct {
	return in.elements(name, int64(in.take(name, 4).i32(0)), size)
}
