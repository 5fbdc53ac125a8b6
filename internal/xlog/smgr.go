package xlog

import (
	"fmt"

	"zenith/internal/pg"
)

// The operations of RM_SMGR (catalog/storage_xlog.h).
const (
	SmgrCreate   = 0x10
	SmgrTruncate = 0x20
)

// The bits of SmgrTruncateRec.Flags.
const (
	SmgrTruncateHeap = 1
	SmgrTruncateVM   = 2
	SmgrTruncateFSM  = 4
)

// ParseSmgrCreate reads xl_smgr_create: the fork that came into being.
func ParseSmgrCreate(rec *Record) (pg.RelFork, error) {
	f := fields{in: rec.MainData}
	rf := pg.RelFork{RelFileLocator: f.locator()}
	fork := f.u32()
	if fork > uint32(pg.MaxFork) {
		return rf, fmt.Errorf("xl_smgr_create of fork %d: %w", fork, ErrCorrupt)
	}
	rf.Fork = pg.ForkNumber(fork)
	return rf, f.done("xl_smgr_create")
}

// SmgrTruncateRec is xl_smgr_truncate: the relation's main fork keeps Blocks blocks, and
// the other forks what goes with that, as Flags say.
type SmgrTruncateRec struct {
	Blocks pg.BlockNumber
	Rel    pg.RelFileLocator
	Flags  uint32
}

// ParseSmgrTruncate reads the body of a TRUNCATE record.
func ParseSmgrTruncate(rec *Record) (SmgrTruncateRec, error) {
	f := fields{in: rec.MainData}
	t := SmgrTruncateRec{Blocks: pg.BlockNumber(f.u32()), Rel: f.locator(), Flags: f.u32()}
	return t, f.done("xl_smgr_truncate")
}
