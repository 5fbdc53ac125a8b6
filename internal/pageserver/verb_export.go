package pageserver

import (
	"context"
	"io"

	"zenith/internal/access"
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
	verb: verb{name: "basebackup", role: access.Reader, gives: true, help: "a tar of a data directory, without the data of user relations"},
	do: func(ctx context.Context, c *call, a backupArgs, w io.Writer) error {
		return c.export(ctx, a.Tenant, a.point(), api.ExportOptions{SkipRelations: true}, w)
	},
}

var fullbackupVerb = file[backupArgs]{
	verb: verb{name: "fullbackup", role: access.Reader, gives: true, help: "a tar of a data directory, on which stock postgres starts"},
	do: func(ctx context.Context, c *call, a backupArgs, w io.Writer) error {
		return c.export(ctx, a.Tenant, a.point(), api.ExportOptions{}, w)
	},
}

type exportArgs struct {
	Tenant    string `arg:"TENANT"`
	Point     string `arg:"POINT"`
	Contained bool   `arg:"contained"`
}

var exportVerb = file[exportArgs]{
	verb: verb{name: "export", role: access.Reader, gives: true, help: "fullbackup of any point; contained: its configuration holds back what would reach out"},
	do: func(ctx context.Context, c *call, a exportArgs, w io.Writer) error {
		return c.export(ctx, a.Tenant, a.Point, api.ExportOptions{Contained: a.Contained}, w)
	},
}

// export sends an export, with progress and a notice for what its configuration would reach.
func (c *call) export(ctx context.Context, tenant, point string, o api.ExportOptions, w io.Writer) error {
	o.Progress = c.notices()
	o.Note = func(line string) { _ = c.note(line) } // the connection keeps its error, and the first byte of data meets it
	return c.svc.Export(ctx, tenant, point, o, w)
}

// Export is api.Service's. What was written when it returns an error is not a whole archive.
func (c *Client) Export(ctx context.Context, tenant, point string, o api.ExportOptions, w io.Writer) error {
	if !o.SkipRelations {
		return exportVerb.call(ctx, c, o.Progress, exportArgs{tenant, point, o.Contained}, o.Note, w)
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
	return basebackupVerb.call(ctx, c, o.Progress, a, o.Note, w)
}
