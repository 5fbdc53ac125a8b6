package pageserver

import (
	"context"
	"io"
	"strconv"
	"time"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/pg"
)

// historyVerbs are about the versions that branches hold.
var historyVerbs = group{"History", []aVerb{&walDumpVerb, &pageDumpVerb, &checkVerb, &repairVerb, &gcVerb, &gcPlanVerb, &doGCVerb, &leaseVerb}}

type walDumpArgs struct {
	Tenant string  `arg:"TENANT"`
	Branch string  `arg:"BRANCH"`
	From   pg.LSN  `arg:"FROM,optional"`
	To     pg.LSN  `arg:"TO,optional"`
	Zone   zoneArg `arg:"TIMEZONE,optional"`
}

type walDumpRow struct {
	Record string `json:"record"`
}

var walDumpVerb = stream[walDumpArgs, walDumpRow]{
	verb: verb{name: "wal_dump", role: access.Reader, gives: true, long: true, help: "the records that start in [FROM, TO), as pg_waldump prints them; 0/0 is the start of what is kept, and the head"},
	do: func(ctx context.Context, c *call, a walDumpArgs, send func(walDumpRow) error) error {
		lines := &lineWriter{line: func(s string) error { return send(walDumpRow{s}) }}
		if err := c.svc.WALDump(ctx, a.Tenant, a.Branch, a.From, a.To, a.Zone.location(), lines); err != nil {
			return err
		}
		return lines.close()
	},
}

// WALDump is api.Service's.
func (c *Client) WALDump(ctx context.Context, tenant, branch string, from, to pg.LSN, zone *time.Location, w io.Writer) error {
	var line []byte
	write := func(r walDumpRow) error {
		line = append(append(line[:0], r.Record...), '\n')
		_, err := w.Write(line)
		return err
	}
	return walDumpVerb.call(ctx, c, nil, walDumpArgs{tenant, branch, from, to, zoneArg{zone}}, write)
}

// zoneArg is a time zone by its name; none is UTC.
type zoneArg struct{ zone *time.Location }

func (z zoneArg) location() *time.Location {
	if z.zone == nil {
		return time.UTC
	}
	return z.zone
}

// MarshalText implements encoding.TextMarshaler.
func (z zoneArg) MarshalText() ([]byte, error) { return []byte(z.location().String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (z *zoneArg) UnmarshalText(name []byte) (err error) {
	if z.zone, err = time.LoadLocation(string(name)); err != nil {
		return api.Errorf(api.ErrBadArgument, "time zone %q: is not known here", api.Clip(string(name)))
	}
	return nil
}

type pageDumpArgs struct {
	Tenant string         `arg:"TENANT"`
	Point  string         `arg:"POINT"`
	Path   string         `arg:"PATH"`
	Block  pg.BlockNumber `arg:"BLOCK"`
}

type pageDumpRow struct {
	Page pg.Page `json:"page"`
}

var pageDumpVerb = one[pageDumpArgs, pageDumpRow]{
	verb: verb{name: "page_dump", role: access.Reader, gives: true, help: "a block of a relation's file in the data directory; it counts from the start of the relation"},
	do: func(ctx context.Context, c *call, a pageDumpArgs) (pageDumpRow, error) {
		page, err := c.svc.ReadPage(ctx, a.Tenant, a.Point, a.Path, a.Block)
		return pageDumpRow{page}, err
	},
}

// ReadPage is api.Service's.
func (c *Client) ReadPage(ctx context.Context, tenant, point, path string, block pg.BlockNumber) (pg.Page, error) {
	r, err := pageDumpVerb.call(ctx, c, nil, pageDumpArgs{tenant, point, path, block})
	return r.Page, err
}

type checkArgs struct {
	Tenant string `arg:"TENANT"`
	Branch string `arg:"BRANCH,optional"`
}

// checkRow is a problem, or the last row, which has the figures.
type checkRow struct {
	Problem *string `json:"problem"`
	*api.CheckResult
}

var checkVerb = stream[checkArgs, checkRow]{
	verb: verb{name: "check", role: access.Reader, long: true, help: "verifies a branch, or all of the tenant's: a row for each problem, and a last one with the figures"},
	do: func(ctx context.Context, c *call, a checkArgs, send func(checkRow) error) error {
		found := func(problem string) error { return send(checkRow{Problem: &problem}) }
		res, err := c.svc.Check(ctx, a.Tenant, a.Branch, found, c.notices())
		if err != nil {
			return err
		}
		return send(checkRow{CheckResult: &res})
	},
}

// Check is api.Service's.
func (c *Client) Check(ctx context.Context, tenant, branch string, found func(string) error, p api.Progress) (res api.CheckResult, err error) {
	err = checkVerb.call(ctx, c, p, checkArgs{tenant, branch}, func(r checkRow) error {
		switch {
		case r.Problem != nil:
			return found(*r.Problem)
		case r.CheckResult != nil:
			res = *r.CheckResult
		}
		return nil
	})
	return res, err
}

type repairArgs struct {
	Tenant string `arg:"TENANT"`
}

type repairRow struct {
	Done string `json:"done"`
}

var repairVerb = one[repairArgs, repairRow]{
	verb: verb{name: "repair", role: access.Admin, help: "mends the tenant's store, which cannot be opened, if that can be done without loss; done is empty if there is nothing to mend"},
	do: func(ctx context.Context, c *call, a repairArgs) (repairRow, error) {
		done, err := c.svc.Repair(ctx, a.Tenant)
		return repairRow{done}, err
	},
}

// Repair is api.Service's.
func (c *Client) Repair(ctx context.Context, tenant string) (string, error) {
	r, err := repairVerb.call(ctx, c, nil, repairArgs{tenant})
	return r.Done, err
}

type gcArgs struct {
	Tenant string     `arg:"TENANT"`
	Branch string     `arg:"BRANCH"`
	Retain api.Retain `arg:"DURATION|BYTES,optional"`
	Force  bool       `arg:"force"`
}

var gcVerb = one[gcArgs, api.GCResult]{
	verb: verb{name: "gc", role: access.Admin, help: "forgets history that is older than what is retained: by the argument, or else the settings. What is younger than a day only with force; elapsed is in ms"},
	do: func(ctx context.Context, c *call, a gcArgs) (api.GCResult, error) {
		return c.svc.GC(ctx, a.Tenant, a.Branch, api.GCOptions{Retain: a.Retain, Force: a.Force, Progress: c.notices()})
	},
}

// GC is api.Service's.
func (c *Client) GC(ctx context.Context, tenant, branch string, o api.GCOptions) (api.GCResult, error) {
	return gcVerb.call(ctx, c, o.Progress, gcArgs{tenant, branch, o.Retain, o.Force})
}

type gcPlanArgs struct {
	Tenant string     `arg:"TENANT"`
	Branch string     `arg:"BRANCH,optional"`
	Retain api.Retain `arg:"DURATION|BYTES,optional"`
}

var gcPlanVerb = list[gcPlanArgs, api.Forgettable]{
	verb: verb{name: "gc_plan", role: access.Reader, long: true, help: "what gc would forget: a row for each branch of which it is something. It forgets nothing; no branch, or an empty one, means all"},
	do: func(ctx context.Context, c *call, a gcPlanArgs) ([]api.Forgettable, error) {
		return c.svc.GCPlan(ctx, a.Tenant, a.Branch, a.Retain)
	},
}

// GCPlan is api.Service's.
func (c *Client) GCPlan(ctx context.Context, tenant, branch string, r api.Retain) ([]api.Forgettable, error) {
	return gcPlanVerb.call(ctx, c, gcPlanArgs{tenant, branch, r})
}

type doGCArgs struct {
	Tenant  string   `arg:"TENANT"`
	Branch  string   `arg:"BRANCH"`
	Horizon *horizon `arg:"HORIZON_BYTES,optional"`
}

var doGCVerb = one[doGCArgs, api.GCResult]{
	verb: verb{name: "do_gc", role: access.Admin, help: "gc, told how many bytes of WAL to retain"},
	do: func(ctx context.Context, c *call, a doGCArgs) (api.GCResult, error) {
		o := api.GCOptions{Force: true, Progress: c.notices()} // a program's command: it means what it says
		if a.Horizon != nil {
			o.Retain = api.Retain{Bytes: int64(*a.Horizon), Set: true}
		}
		return c.svc.GC(ctx, a.Tenant, a.Branch, o)
	},
}

// horizon is how many bytes of WAL are to be left.
type horizon int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *horizon) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < 0 {
		return api.Errorf(api.ErrBadArgument, "horizon %q: want a number of bytes", api.Clip(string(text)))
	}
	*h = horizon(n)
	return nil
}

type leaseArgs struct {
	Tenant string `arg:"TENANT"`
	Branch string `arg:"BRANCH"`
	LSN    pg.LSN `arg:"LSN"`
}

type leaseRow struct {
	Until time.Time `json:"valid_until"`
}

var leaseVerb = one[leaseArgs, leaseRow]{
	verb: verb{name: "lease", role: access.Writer, help: "keeps an LSN of a branch from being collected for ten minutes from now"},
	do: func(ctx context.Context, c *call, a leaseArgs) (leaseRow, error) {
		until, err := c.svc.Lease(ctx, a.Tenant, a.Branch, a.LSN)
		return leaseRow{until}, err
	},
}

// Lease is api.Service's.
func (c *Client) Lease(ctx context.Context, tenant, branch string, lsn pg.LSN) (time.Time, error) {
	r, err := leaseVerb.call(ctx, c, nil, leaseArgs{tenant, branch, lsn})
	return r.Until, err
}
