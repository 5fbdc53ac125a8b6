package pageserver

import (
	"context"
	"strconv"
	"strings"

	"zenith/internal/api"
)

var computeColumns = []column{
	{"tenant", typeText}, {"name", typeText}, {"timeline", typeText}, {"lsn", typeText}, {"status", typeText},
	{"host", typeText}, {"port", typeInt4}, {"user", typeText}, {"database", typeText}, {"dir", typeText}, {"log", typeText},
}

// computeCommands are about postgres servers.
var computeCommands = []command{
	{name: "pg_create", usage: "TENANT POINT [port=N] [SETTING=VALUE]...", min: 2, max: -1, cols: computeColumns, run: runPgCreate},
	{name: "pg_start", usage: "TENANT POINT [port=N] [SETTING=VALUE]...", min: 2, max: -1, cols: computeColumns, run: runPgStart},
	{name: "pg_stop", usage: "TENANT NAME [smart|fast|immediate] [destroy]", min: 2, max: 4, run: runPgStop},
	{name: "pg_list", usage: "TENANT", min: 1, max: 1, cols: computeColumns, run: runPgList},
	{name: "pg_exec", usage: "TENANT POINT", min: 2, max: 2, cols: computeColumns, run: runPgExec},
	{name: "pg_exec_end", run: runPgExecEnd},
}

func runPgCreate(ctx context.Context, c *call) error { return c.compute(ctx, c.svc().PgCreate) }
func runPgStart(ctx context.Context, c *call) error  { return c.compute(ctx, c.svc().PgStart) }

func (c *call) compute(ctx context.Context, do func(context.Context, string, string, api.ComputeOptions) (api.Compute, error)) error {
	o, err := parseComputeOptions(c.args[2:])
	if err != nil {
		return err
	}
	pg, err := do(ctx, c.args[0], c.args[1], o)
	if err != nil {
		return err
	}
	return c.computeRow(pg)
}

// parseComputeOptions reads NAME=VALUE words. The setting "port" is the port.
func parseComputeOptions(words []string) (api.ComputeOptions, error) {
	var o api.ComputeOptions
	for _, w := range words {
		name, value, found := strings.Cut(w, "=")
		if !found || name == "" {
			return o, api.Errorf(api.ErrBadArgument, "setting %q: want NAME=VALUE", api.Clip(w))
		}
		if !strings.EqualFold(name, "port") {
			o.Settings = append(o.Settings, api.Setting{Name: name, Value: value})
			continue
		}
		port, err := strconv.ParseUint(value, 10, 16)
		if err != nil || port == 0 {
			return o, api.Errorf(api.ErrBadArgument, "port %q: want 1 to 65535", api.Clip(value))
		}
		o.Port = int(port)
	}
	return o, nil
}

// stopModes are what pg_ctl stop -m takes.
var stopModes = map[string]bool{"smart": true, "fast": true, "immediate": true}

func runPgStop(ctx context.Context, c *call) error {
	var o api.StopOptions
	for _, w := range c.args[2:] {
		switch {
		case strings.EqualFold(w, "destroy"):
			o.Destroy = true
		case stopModes[strings.ToLower(w)]:
			o.Mode = strings.ToLower(w)
		default:
			return api.Errorf(api.ErrBadArgument, "%q: want smart, fast, immediate or destroy", api.Clip(w))
		}
	}
	return c.svc().PgStop(ctx, c.args[0], c.args[1], o)
}

func runPgList(ctx context.Context, c *call) error {
	list, err := c.svc().PgList(ctx, c.args[0])
	if err != nil {
		return err
	}
	for _, pg := range list {
		if err := c.computeRow(pg); err != nil {
			return err
		}
	}
	return nil
}

// runPgExec leaves a postgres running that goes with pg_exec_end or with the connection.
func runPgExec(ctx context.Context, c *call) error {
	if c.stopExec != nil {
		return api.Errorf(api.ErrBusy, "pg_exec: this connection has one already")
	}
	pg, stop, err := c.svc().PgExec(ctx, c.args[0], c.args[1])
	if err != nil {
		return err
	}
	c.stopExec = stop
	return c.computeRow(pg)
}

func runPgExecEnd(_ context.Context, c *call) error {
	if c.stopExec == nil {
		return api.Errorf(api.ErrNotFound, "pg_exec_end: this connection has no pg_exec")
	}
	return c.stopExecNow()
}

func (c *call) computeRow(pg api.Compute) error {
	return c.reply.row(pg.Tenant, pg.Name, pg.Timeline, pg.LSN.String(), pg.Status,
		pg.Host, int64(pg.Port), pg.User, pg.Database, pg.Dir, pg.Log)
}
