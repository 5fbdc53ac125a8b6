package rmgrdesc

import (
	"fmt"

	"zenith/internal/pg"
)

// smgrDescs are smgr_desc.
var smgrDescs = descs{
	0x1: fixed("xl_smgr_create", 16, "%s", forkPath(0, 12)),
	0x2: fixed("xl_smgr_truncate", 20, "%s to %d blocks flags %d", relPath(4), u32(0), i32(16)),
}

// relPath prints the path of a relation's main fork.
func relPath(off int) field {
	return func(s cstruct) any { return path(s.node(off), uint32(pg.MainFork)) }
}

// forkPath prints the path of the fork whose number lies at forkOff.
func forkPath(off, forkOff int) field {
	return func(s cstruct) any { return path(s.node(off), s.u32(forkOff)) }
}

// path is relpathperm. It takes no detour by pg.RelPath, for which tablespace 0 means
// an SLRU; a damaged record may name it. A line is the text of PostgreSQL 15's pg_waldump,
// whatever the record's version. A fork number out of range, which relpathperm
// does not expect, is told.
func path(rel pg.RelFileLocator, fork uint32) string {
	p := fmt.Sprintf("%s/%v", pg.V15.DatabasePath(rel.SpcOID, rel.DBOID), rel.RelNumber)
	switch {
	case fork == uint32(pg.MainFork):
		return p
	case fork <= uint32(pg.MaxFork):
		return p + "_" + pg.ForkNumber(fork).String()
	default:
		return fmt.Sprintf("%s fork %d", p, fork)
	}
}
