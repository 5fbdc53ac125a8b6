package rmgrdesc

import (
	"fmt"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// smgrDescs are smgr_desc.
var smgrDescs = descs{
	xlog.SmgrCreate >> 4:   smgrCreate,
	xlog.SmgrTruncate >> 4: smgrTruncate,
}

func smgrCreate(w *writer, rec *xlog.Record) error {
	rf, err := xlog.ParseSmgrCreate(rec)
	return w.text(err, "%s", w.path(rf))
}

func smgrTruncate(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseSmgrTruncate(rec)
	return w.text(err, "%s to %d blocks flags %d", w.mainPath(x.Rel), x.Blocks, int32(x.Flags))
}

// path is relpathperm. It takes no detour by pg.Version.RelPath, for which tablespace 0
// means an SLRU; a damaged record may name it.
func (w *writer) path(rf pg.RelFork) string {
	p := fmt.Sprintf("%s/%v", w.version.DatabasePath(rf.SpcOID, rf.DBOID), rf.RelNumber)
	if rf.Fork != pg.MainFork {
		p += "_" + rf.Fork.String()
	}
	return p
}

func (w *writer) mainPath(rel pg.RelFileLocator) string {
	return w.path(pg.RelFork{RelFileLocator: rel})
}
