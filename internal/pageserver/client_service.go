package pageserver

import (
	"context"
	"io"
	"strconv"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// Status is Service's.
func (c *Client) Status(ctx context.Context) ([]api.StatusRow, error) {
	var rows []api.StatusRow
	err := c.rows(ctx, nil, func(f *fields) { rows = append(rows, api.StatusRow{Name: f.text(), Value: f.text()}) }, "status")
	return rows, err
}

// IdentifySystem is Service's.
func (c *Client) IdentifySystem(ctx context.Context, tenant, branch string) (api.SystemID, error) {
	var id api.SystemID
	read := func(f *fields) {
		sysid, err := strconv.ParseUint(f.text(), 10, 64)
		if err != nil {
			f.fail("system identifier: " + err.Error())
		}
		id = api.SystemID{SysID: sysid, TLI: pg.TLI(f.int()), XLogPos: f.lsn(), Database: f.text()}
	}
	var args []string
	if tenant != "" {
		args = []string{tenant, branch}
	}
	err := c.one(ctx, nil, read, "identify_system", args...)
	return id, err
}

// TenantList is Service's.
func (c *Client) TenantList(ctx context.Context) ([]string, error) {
	var ids []string
	err := c.oneJSON(ctx, &ids, "tenant_list")
	return ids, err
}

// TenantCreate is Service's. The id must be given: the answer has no row to tell a random one.
func (c *Client) TenantCreate(ctx context.Context, id string, p api.Progress) (api.TenantInfo, error) {
	if err := c.command(ctx, p, answer{}, "tenant_create", id); err != nil {
		return api.TenantInfo{}, err
	}
	list, err := c.BranchList(ctx, id)
	if err != nil || len(list) == 0 {
		return api.TenantInfo{ID: id}, err
	}
	return api.TenantInfo{ID: id, TimelineID: list[0].TimelineID, LSN: list[0].LatestValidLSN}, nil
}

// BranchList is Service's.
func (c *Client) BranchList(ctx context.Context, tenant string) ([]api.Branch, error) {
	var list []api.Branch
	err := c.oneJSON(ctx, &list, "branch_list", tenant)
	return list, err
}

// BranchCreate is Service's.
func (c *Client) BranchCreate(ctx context.Context, tenant, name, point string) (api.Branch, error) {
	var b api.Branch
	err := c.oneJSON(ctx, &b, "branch_create", tenant, name, point)
	return b, err
}

// BranchDelete is Service's.
func (c *Client) BranchDelete(ctx context.Context, tenant, name string) error {
	return c.command(ctx, nil, answer{}, "branch_delete", tenant, name)
}

// LSN is Service's.
func (c *Client) LSN(ctx context.Context, tenant, point string) (pg.LSN, error) {
	var lsn pg.LSN
	err := c.one(ctx, nil, func(f *fields) { lsn = f.lsn() }, "lsn", tenant, point)
	return lsn, err
}

func (f *fields) mount() api.Mount {
	return api.Mount{Dir: f.text(), Mode: f.text(), Tenant: f.text(), Branch: f.text(), Timeline: f.text(), LSN: f.lsn()}
}

// Mount is Service's.
func (c *Client) Mount(ctx context.Context, o api.MountOptions) (api.Mount, error) {
	name, args := "mount", []string{o.Tenant, o.Point, o.Dir}
	switch {
	case o.Point == "":
		name, args = "mount_tree", []string{o.Dir}
	case o.Scratch:
		args = append(args, "scratch")
	}
	var m api.Mount
	err := c.one(ctx, nil, func(f *fields) { m = f.mount() }, name, args...)
	return m, err
}

// Umount is Service's.
func (c *Client) Umount(ctx context.Context, dir string, lazy bool) error {
	args := []string{dir}
	if lazy {
		args = append(args, "lazy")
	}
	return c.command(ctx, nil, answer{}, "umount", args...)
}

// MountList is Service's.
func (c *Client) MountList(ctx context.Context) ([]api.Mount, error) {
	var list []api.Mount
	err := c.rows(ctx, nil, func(f *fields) { list = append(list, f.mount()) }, "mount_list")
	return list, err
}

func (f *fields) compute() api.Compute {
	return api.Compute{
		Tenant: f.text(), Name: f.text(), Timeline: f.text(), LSN: f.lsn(), Status: f.text(),
		Host: f.text(), Port: int(f.int()), User: f.text(), Database: f.text(), Dir: f.text(), Log: f.text(),
	}
}

// PgCreate is Service's.
func (c *Client) PgCreate(ctx context.Context, tenant, point string, o api.ComputeOptions) (api.Compute, error) {
	return c.compute(ctx, "pg_create", tenant, point, o)
}

// PgStart is Service's.
func (c *Client) PgStart(ctx context.Context, tenant, point string, o api.ComputeOptions) (api.Compute, error) {
	return c.compute(ctx, "pg_start", tenant, point, o)
}

func (c *Client) compute(ctx context.Context, name, tenant, point string, o api.ComputeOptions) (api.Compute, error) {
	args := []string{tenant, point}
	if o.Port != 0 {
		args = append(args, "port="+strconv.Itoa(o.Port))
	}
	for _, s := range o.Settings {
		args = append(args, s.Name+"="+s.Value)
	}
	var cp api.Compute
	err := c.one(ctx, nil, func(f *fields) { cp = f.compute() }, name, args...)
	return cp, err
}

// PgStop is Service's.
func (c *Client) PgStop(ctx context.Context, tenant, name string, o api.StopOptions) error {
	args := []string{tenant, name}
	if o.Mode != "" {
		args = append(args, o.Mode)
	}
	if o.Destroy {
		args = append(args, "destroy")
	}
	return c.command(ctx, nil, answer{}, "pg_stop", args...)
}

// PgList is Service's.
func (c *Client) PgList(ctx context.Context, tenant string) ([]api.Compute, error) {
	var list []api.Compute
	err := c.rows(ctx, nil, func(f *fields) { list = append(list, f.compute()) }, "pg_list", tenant)
	return list, err
}

// PgExec is Service's. The postgres also goes with the Client's connection.
func (c *Client) PgExec(ctx context.Context, tenant, point string) (api.Compute, func(context.Context) error, error) {
	var cp api.Compute
	err := c.one(ctx, nil, func(f *fields) { cp = f.compute() }, "pg_exec", tenant, point)
	if err != nil {
		return api.Compute{}, nil, err
	}
	stop := func(ctx context.Context) error { return c.command(ctx, nil, answer{}, "pg_exec_end") }
	return cp, stop, nil
}

// WALDump is Service's.
func (c *Client) WALDump(ctx context.Context, tenant, branch string, from, to pg.LSN, zone *time.Location, w io.Writer) error {
	row := func(values [][]byte) error {
		f := &fields{values: values}
		line := append(f.next(), '\n')
		if f.err != nil {
			return f.err
		}
		_, err := w.Write(line)
		return err
	}
	return c.command(ctx, nil, answer{row: row}, "wal_dump", tenant, branch, from.String(), to.String(), zone.String())
}

// ReadPage is Service's.
func (c *Client) ReadPage(ctx context.Context, tenant, point, path string, block pg.BlockNumber) (pg.Page, error) {
	var page pg.Page
	read := func(f *fields) { page = f.bytea() }
	err := c.one(ctx, nil, read, "page_dump", tenant, point, path, strconv.FormatUint(uint64(block), 10))
	return page, err
}

// Export is Service's. What was written when it returns an error is not a whole archive.
func (c *Client) Export(ctx context.Context, tenant, point string, o api.ExportOptions, w io.Writer) error {
	name, args := "export", []string{tenant, point}
	if o.SkipRelations {
		name, args = "basebackup", []string{tenant, point}
		if branch, _, state := api.SplitPoint(point); state { // the command takes no TIME
			lsn, err := c.LSN(ctx, tenant, point)
			if err != nil {
				return err
			}
			args = []string{tenant, branch, lsn.String()}
		}
	}
	return c.command(ctx, o.Progress, answer{copy: w}, name, args...)
}

// Check is Service's.
func (c *Client) Check(ctx context.Context, tenant, branch string, found func(string) error, p api.Progress) (api.CheckResult, error) {
	args := []string{tenant}
	if branch != "" {
		args = append(args, branch)
	}
	var res api.CheckResult
	row := func(values [][]byte) error {
		f := &fields{values: values}
		if problem := f.next(); problem != nil {
			return found(string(problem))
		}
		res = api.CheckResult{Branches: f.int(), Pages: f.int(), WALBytes: f.int(), Problems: f.int()}
		return f.err
	}
	err := c.command(ctx, p, answer{row: row}, "check", args...)
	return res, err
}

// GC is Service's.
func (c *Client) GC(ctx context.Context, tenant, branch string, r api.Retain, p api.Progress) (api.GCResult, error) {
	var res api.GCResult
	read := func(f *fields) {
		res = api.GCResult{Relations: f.int(), Truncated: f.int(), Deleted: f.int(), Dropped: f.int(),
			Elapsed: time.Duration(f.int()) * time.Millisecond}
	}
	err := c.one(ctx, p, read, "gc", append([]string{tenant, branch}, r.Words()...)...)
	return res, err
}

// Lease is Service's.
func (c *Client) Lease(ctx context.Context, tenant, branch string, lsn pg.LSN) (time.Time, error) {
	var until time.Time
	err := c.one(ctx, nil, func(f *fields) { until = f.time() }, "lease", tenant, branch, lsn.String())
	return until, err
}

// ReceiveStart is Service's.
func (c *Client) ReceiveStart(ctx context.Context, tenant, branch, conninfo string) error {
	return c.command(ctx, nil, answer{}, "callmemaybe", tenant, branch, conninfo)
}

// ReceiveStop is Service's.
func (c *Client) ReceiveStop(ctx context.Context, tenant, branch string) error {
	return c.command(ctx, nil, answer{}, "receive_stop", tenant, branch)
}

// ReceiveList is Service's.
func (c *Client) ReceiveList(ctx context.Context, tenant string) ([]api.Receiver, error) {
	var list []api.Receiver
	read := func(f *fields) {
		list = append(list, api.Receiver{Branch: f.text(), ConnInfo: f.text(), Status: f.text(), Received: f.lsn(),
			Flushed: f.lsn(), Applied: f.lsn(), LagBytes: f.int(), LastError: f.text()})
	}
	err := c.rows(ctx, nil, read, "receive_list", tenant)
	return list, err
}
