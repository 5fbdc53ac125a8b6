package pageserver

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"zenith/internal/access"
	"zenith/internal/api"
)

// computeVerbs are about postgres servers that the page server runs.
var computeVerbs = group{"PostgreSQL servers", []aVerb{&pgCreateVerb, &pgStartVerb, &pgStopVerb, &pgReloadVerb, &pgRestartVerb, &pgListVerb, &pgExecVerb, &pgExecEndVerb, &pgDistribsVerb}}

type pgStartArgs struct {
	Tenant  string      `arg:"TENANT"`
	Point   string      `arg:"POINT"`
	Options computeArgs `arg:"[port=N] [SETTING=VALUE | -SETTING | +CHANNEL | +original]...,optional"`
}

var pgCreateVerb = one[pgStartArgs, api.Compute]{
	verb: verb{name: "pg_create", role: access.Writer, raise: raiseSettings, help: "makes the directory and settings of a postgres for a point and does not start it"},
	do: func(ctx context.Context, c *call, a pgStartArgs) (api.Compute, error) {
		return c.svc.PgCreate(ctx, a.Tenant, a.Point, api.ComputeOptions(a.Options))
	},
}

// PgCreate is api.Service's.
func (c *Client) PgCreate(ctx context.Context, tenant, point string, o api.ComputeOptions) (api.Compute, error) {
	return pgCreateVerb.call(ctx, c, nil, pgStartArgs{tenant, point, computeArgs(o)})
}

var pgStartVerb = one[pgStartArgs, api.Compute]{
	verb: verb{name: "pg_start", role: access.Writer, raise: raiseSettings, help: "starts a postgres, made if need be, and answers when it accepts connections"},
	do: func(ctx context.Context, c *call, a pgStartArgs) (api.Compute, error) {
		return c.svc.PgStart(ctx, a.Tenant, a.Point, api.ComputeOptions(a.Options))
	},
}

// PgStart is api.Service's.
func (c *Client) PgStart(ctx context.Context, tenant, point string, o api.ComputeOptions) (api.Compute, error) {
	return pgStartVerb.call(ctx, c, nil, pgStartArgs{tenant, point, computeArgs(o)})
}

// computeArgs are ComputeOptions as words: NAME=VALUE sets, -NAME unsets, +NAME opens a channel, and
// +original all of them. The setting "port" is the port.
type computeArgs api.ComputeOptions

// asOriginal is the word, behind the plus, that opens all channels.
const asOriginal = "original"

func (o *computeArgs) setWords(words []string) error {
	for _, w := range words {
		if name, found := strings.CutPrefix(w, "-"); found && name != "" {
			o.Unset = append(o.Unset, name)
			continue
		}
		if name, found := strings.CutPrefix(w, "+"); found && name == asOriginal {
			o.AsOriginal = true
			continue
		} else if found {
			o.Allow = append(o.Allow, name)
			continue
		}
		name, value, found := strings.Cut(w, "=")
		if !found || name == "" {
			return api.Errorf(api.ErrBadArgument, "setting %q: want NAME=VALUE, -NAME or +CHANNEL", api.Clip(w))
		}
		if !strings.EqualFold(name, "port") {
			o.Settings = append(o.Settings, api.Setting{Name: name, Value: value})
			continue
		}
		port, err := strconv.ParseUint(value, 10, 16)
		if err != nil || port == 0 {
			return api.Errorf(api.ErrBadArgument, "port %q: want 1 to 65535", api.Clip(value))
		}
		o.Port = int(port)
	}
	return nil
}

func (o *computeArgs) words() (words []string) {
	if o.Port != 0 {
		words = append(words, "port="+strconv.Itoa(o.Port))
	}
	for _, name := range o.Unset {
		words = append(words, "-"+name)
	}
	for _, s := range o.Settings {
		words = append(words, s.Name+"="+s.Value)
	}
	for _, name := range o.Allow {
		words = append(words, "+"+name)
	}
	if o.AsOriginal {
		words = append(words, "+"+asOriginal)
	}
	return words
}

type pgStopArgs struct {
	Tenant  string   `arg:"TENANT"`
	Name    string   `arg:"NAME"`
	Options stopArgs `arg:"[smart|fast|immediate] [destroy],optional,2"`
}

var pgStopVerb = plain[pgStopArgs]{
	verb: verb{name: "pg_stop", role: access.Writer, help: "stops a postgres by the name that pg_list shows; destroy: and forgets its settings and directory"},
	do: func(ctx context.Context, c *call, a pgStopArgs) error {
		return c.svc.PgStop(ctx, a.Tenant, a.Name, api.StopOptions(a.Options))
	},
}

// PgStop is api.Service's.
func (c *Client) PgStop(ctx context.Context, tenant, name string, o api.StopOptions) error {
	return pgStopVerb.call(ctx, c, nil, pgStopArgs{tenant, name, stopArgs(o)})
}

// stopArgs are StopOptions as words, in any order.
type stopArgs api.StopOptions

const destroyWord = "destroy"

func (o *stopArgs) setWords(words []string) error {
	for _, w := range words {
		switch w = strings.ToLower(w); {
		case w == destroyWord:
			o.Destroy = true
		case slices.Contains(api.StopModes, w):
			o.Mode = w
		default:
			return api.Errorf(api.ErrBadArgument, "%q: want smart, fast, immediate or destroy", api.Clip(w))
		}
	}
	return nil
}

func (o *stopArgs) words() (words []string) {
	if o.Mode != "" {
		words = append(words, o.Mode)
	}
	if o.Destroy {
		words = append(words, destroyWord)
	}
	return words
}

type pgNameArgs struct {
	Tenant string `arg:"TENANT"`
	Name   string `arg:"NAME"`
}

var pgReloadVerb = plain[pgNameArgs]{
	verb: verb{name: "pg_reload", role: access.Writer, help: "has a running postgres read its configuration again"},
	do: func(ctx context.Context, c *call, a pgNameArgs) error {
		return c.svc.PgReload(ctx, a.Tenant, a.Name)
	},
}

// PgReload is api.Service's.
func (c *Client) PgReload(ctx context.Context, tenant, name string) error {
	return pgReloadVerb.call(ctx, c, nil, pgNameArgs{tenant, name})
}

var pgRestartVerb = one[pgNameArgs, api.Compute]{
	verb: verb{name: "pg_restart", role: access.Writer, help: "stops a running postgres and starts it as it was started the last time"},
	do: func(ctx context.Context, c *call, a pgNameArgs) (api.Compute, error) {
		return c.svc.PgRestart(ctx, a.Tenant, a.Name)
	},
}

// PgRestart is api.Service's.
func (c *Client) PgRestart(ctx context.Context, tenant, name string) (api.Compute, error) {
	return pgRestartVerb.call(ctx, c, nil, pgNameArgs{tenant, name})
}

var pgListVerb = list[tenantArgs, api.Compute]{
	verb: verb{name: "pg_list", role: access.Reader, help: "a tenant's postgres servers, running or not"},
	do: func(ctx context.Context, c *call, a tenantArgs) ([]api.Compute, error) {
		return c.svc.PgList(ctx, a.Tenant)
	},
}

// PgList is api.Service's.
func (c *Client) PgList(ctx context.Context, tenant string) ([]api.Compute, error) {
	return pgListVerb.call(ctx, c, tenantArgs{tenant})
}

var pgExecVerb = one[pgStartArgs, api.Compute]{
	verb: verb{name: "pg_exec", role: access.Writer, raise: raiseSettings, help: "starts a throw-away postgres, which goes with pg_exec_end or with the connection"},
	do: func(ctx context.Context, c *call, a pgStartArgs) (api.Compute, error) {
		if c.stopExec != nil {
			return api.Compute{}, api.Errorf(api.ErrBusy, "pg_exec: this connection has one already")
		}
		cp, stop, err := c.svc.PgExec(ctx, a.Tenant, a.Point, api.ComputeOptions(a.Options))
		if err == nil {
			c.stopExec = stop
		}
		return cp, err
	},
}

var pgExecEndVerb = plain[noArgs]{
	verb: verb{name: "pg_exec_end", role: access.Guest, help: "ends this connection's throw-away postgres and removes all that it had"},
	do: func(_ context.Context, c *call, _ noArgs) error {
		if c.stopExec == nil {
			return api.Errorf(api.ErrNotFound, "pg_exec_end: this connection has no pg_exec")
		}
		return c.stopExecNow()
	},
}

// PgExec is api.Service's. The postgres also goes with the Client's connection.
func (c *Client) PgExec(ctx context.Context, tenant, point string, o api.ComputeOptions) (api.Compute, func(context.Context) error, error) {
	cp, err := pgExecVerb.call(ctx, c, nil, pgStartArgs{tenant, point, computeArgs(o)})
	if err != nil {
		return api.Compute{}, nil, err
	}
	stop := func(ctx context.Context) error { return pgExecEndVerb.call(ctx, c, nil, noArgs{}) }
	return cp, stop, nil
}

var pgDistribsVerb = list[noArgs, api.Distrib]{
	verb: verb{name: "pg_distribs", role: access.Reader, each: true, help: "the PostgreSQL installations that computes run on, one for each major version"},
	do: func(ctx context.Context, c *call, _ noArgs) ([]api.Distrib, error) {
		return c.svc.PgDistribs(ctx)
	},
}

// PgDistribs is api.Service's.
func (c *Client) PgDistribs(ctx context.Context) ([]api.Distrib, error) {
	return pgDistribsVerb.call(ctx, c, noArgs{})
}
