package ingest

import (
	"context"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// versionPath is the path of a database's PG_VERSION.
func versionPath(v *pg.Version, d database) string {
	return v.DatabasePath(d.spc, d.db) + "/PG_VERSION"
}

func relMapPath(v *pg.Version, d database) string { return v.RelMapPath(d.spc, d.db) }

// createDatabase is XLOG_DBASE_CREATE_WAL_LOG: an empty directory. Relations and their
// map follow in records of their own.
func createDatabase(_ context.Context, in *Ingester) error {
	c, err := xlog.ParseDbaseCreate(&in.rec)
	if err != nil {
		return err
	}
	d := database{c.SpcOID, c.DBOID}
	in.batch.w.DBCreate(d.spc, d.db, in.rec.EndLSN)
	in.batch.w.File(versionPath(in.rec.V, d), in.rec.EndLSN, in.rec.V.VersionFile())
	in.dbs[d] = true
	return nil
}

// dropDatabase is XLOG_DBASE_DROP. A database that moves to another tablespace is
// dropped from the one it was in.
func dropDatabase(_ context.Context, in *Ingester) error {
	drop, err := xlog.ParseDbaseDrop(&in.rec)
	if err != nil {
		return err
	}
	for _, spc := range drop.SpcOIDs {
		d := database{spc, drop.DBOID}
		in.batch.w.DBDrop(d.spc, d.db, in.rec.EndLSN)
		in.batch.w.File(versionPath(in.rec.V, d), in.rec.EndLSN, nil)
		in.batch.w.File(relMapPath(in.rec.V, d), in.rec.EndLSN, nil)
		in.dbs[d] = false
	}
	return nil
}

// createTablespace is XLOG_TBLSPC_CREATE.
func createTablespace(_ context.Context, in *Ingester) error {
	t, err := xlog.ParseTblspcCreate(&in.rec)
	if err != nil {
		return err
	}
	in.batch.w.File(pg.TablespacePath(t.SpcOID), in.rec.EndLSN, []byte(t.Path+"\n"))
	return nil
}

// dropTablespace is XLOG_TBLSPC_DROP: nothing but empty directories can be there.
func dropTablespace(ctx context.Context, in *Ingester) error {
	spc, err := xlog.ParseTblspcDrop(&in.rec)
	if err != nil {
		return err
	}
	snap, err := in.tl.At(ctx, in.tl.LastLSN())
	if err != nil {
		return err
	}
	in.batch.w.File(pg.TablespacePath(spc), in.rec.EndLSN, nil)
	return snap.Databases(ctx, func(s, db pg.OID) error {
		if s == spc {
			in.batch.w.DBDrop(s, db, in.rec.EndLSN)
			in.dbs[database{s, db}] = false
		}
		return nil
	})
}

// updateRelMap is XLOG_RELMAP_UPDATE.
func updateRelMap(_ context.Context, in *Ingester) error {
	u, err := xlog.ParseRelMapUpdate(&in.rec)
	if err != nil {
		return err
	}
	spc := u.SpcOID
	if u.DBOID == 0 {
		spc = pg.GlobalTablespace
	}
	in.batch.w.File(in.rec.V.RelMapPath(spc, u.DBOID), in.rec.EndLSN, u.Data)
	return nil
}
