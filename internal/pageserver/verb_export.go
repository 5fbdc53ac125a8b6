package pageserver

import (
	"context"
	"io"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// exportVerbs give all of a state's data, or any page of it.
var exportVerbs = group{"Data", []aVerb{&basebackupVerb, &fullbackupVerb, &exportVerb, &pagestreamVerb}}

type backupArgs struct {
	Tenant string  `arg:"TENANT"`
	Branch string  `arg:"BRANCH"`
	LSN    *pg.LSN `arg:"LSN,optional"`
}

// point gives the branch at the LSN, or its head.
func (a backupArgs) point() string {
	if a.LSN == nil {
		return a.Branch
	}
	return a.Branch + "@" + a.LSN.String() // 0/0, too, which is no point
}

var basebackupVerb = file[backupArgs]{
	verb: verb{name: "basebackup", help: "a tar of a data directory, without the data of user relations"},
	do: func(ctx context.Context, c *call, a backupArgs, w io.Writer) error {
		return c.svc.Export(ctx, a.Tenant, a.point(), api.ExportOptions{SkipRelations: true, Progress: c.notices()}, w)
	},
}

var fullbackupVerb = file[backupArgs]{
	verb: verb{name: "fullbackup", help: "a tar of a data directory, on which stock postgres starts"},
	do: func(ctx context.Context, c *call, a backupArgs, w io.Writer) error {
		return c.svc.Export(ctx, a.Tenant, a.point(), api.ExportOptions{Progress: c.notices()}, w)
	},
}

var exportVerb = file[pointArgs]{
	verb: verb{name: "export", help: "fullbackup of any point"},
	do: func(ctx context.Context, c *call, a pointArgs, w io.Writer) error {
		return c.svc.Export(ctx, a.Tenant, a.Point, api.ExportOptions{Progress: c.notices()}, w)
	},
}

// Export is api.Service's. What was written when it returns an error is not a whole archive.
func (c *Client) Export(ctx context.Context, tenant, point string, o api.ExportOptions, w io.Writer) error {
	if !o.SkipRelations {
		return exportVerb.call(ctx, c, o.Progress, pointArgs{tenant, point}, w)
	}
	branch, _, state := api.SplitPoint(point)
	a := backupArgs{Tenant: tenant, Branch: branch}
	if state { // basebackup takes no TIME
		lsn, err := c.LSN(ctx, tenant, point)
		if err != nil {
			return err
		}
		a.LSN = &lsn
	}
	return basebackupVerb.call(ctx, c, o.Progress, a, w)
}
