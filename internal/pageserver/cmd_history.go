package pageserver

import (
	"context"
	"io"
	"strconv"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// historyCommands are about the versions that branches hold.
var historyCommands = []command{
	{name: "wal_dump", usage: "TENANT BRANCH [FROM [TO [TIMEZONE]]]", min: 2, max: 5, cols: textColumns("record"), run: runWALDump},
	{name: "page_dump", usage: "TENANT POINT PATH BLOCK", min: 4, max: 4, cols: []column{{"page", typeBytea}}, run: runPageDump},
	{name: "check", usage: "TENANT [BRANCH]", min: 1, max: 2, cols: checkColumns, run: runCheck},
	{name: "gc", usage: "TENANT BRANCH [DURATION|BYTES]", min: 2, max: 3, cols: gcColumns, run: runGC},
	{name: "do_gc", usage: "TENANT BRANCH [HORIZON_BYTES]", min: 2, max: 3, cols: gcColumns, run: runDoGC},
	{name: "lease", usage: "TENANT BRANCH LSN", min: 3, max: 3, cols: []column{{"valid_until", typeTimestampTZ}}, run: runLease},
}

// streamCommands answer with a tar stream.
var streamCommands = []command{
	{name: "basebackup", usage: "TENANT BRANCH [LSN]", min: 2, max: 3, tag: "COPY", run: runBasebackup},
	{name: "fullbackup", usage: "TENANT BRANCH [LSN]", min: 2, max: 3, tag: "COPY", run: runFullbackup},
	{name: "export", usage: "TENANT POINT", min: 2, max: 2, tag: "COPY", run: runExport},
	{name: "pagestream", usage: "TENANT BRANCH", min: 2, max: 2, tag: "COPY", reads: true, run: runPagestream},
}

// checkColumns: one row per problem, and a last one with the figures in which problem is null.
var checkColumns = []column{
	{"problem", typeText}, {"branches", typeInt8}, {"pages", typeInt8}, {"wal_bytes", typeInt8}, {"problems", typeInt8},
}

var gcColumns = int8Columns("n_relations", "truncated", "deleted", "dropped", "elapsed")

func runWALDump(ctx context.Context, c *call) error {
	from, err := c.lsnArg(2)
	if err != nil {
		return err
	}
	to, err := c.lsnArg(3)
	if err != nil {
		return err
	}
	zone, err := time.LoadLocation(c.arg(4)) // "" is UTC
	if err != nil {
		return api.Errorf(api.ErrBadArgument, "time zone %q: is not known here", api.Clip(c.arg(4)))
	}
	lines := &lineWriter{r: c.reply}
	if err := c.svc().WALDump(ctx, c.args[0], c.args[1], from, to, zone, lines); err != nil {
		return err
	}
	return lines.close()
}

func runPageDump(ctx context.Context, c *call) error {
	block, err := strconv.ParseUint(c.args[3], 10, 32)
	if err != nil {
		return api.Errorf(api.ErrBadArgument, "block %q: want a number below 2^32", api.Clip(c.args[3]))
	}
	page, err := c.svc().ReadPage(ctx, c.args[0], c.args[1], c.args[2], pg.BlockNumber(block))
	if err != nil {
		return err
	}
	return c.reply.row([]byte(page))
}

func runCheck(ctx context.Context, c *call) error {
	found := func(problem string) error { return c.reply.row(problem, nil, nil, nil, nil) }
	res, err := c.svc().Check(ctx, c.args[0], c.arg(1), found, c.notices())
	if err != nil {
		return err
	}
	return c.reply.row(nil, res.Branches, res.Pages, res.WALBytes, res.Problems)
}

func runGC(ctx context.Context, c *call) error {
	var r api.Retain
	if len(c.args) > 2 {
		var err error
		if r, err = api.ParseRetain(c.args[2]); err != nil {
			return err
		}
	}
	return c.gc(ctx, r)
}

// runDoGC takes bytes only.
func runDoGC(ctx context.Context, c *call) error {
	var r api.Retain
	if len(c.args) > 2 {
		n, err := strconv.ParseInt(c.args[2], 10, 64)
		if err != nil || n < 0 {
			return api.Errorf(api.ErrBadArgument, "horizon %q: want a number of bytes", api.Clip(c.args[2]))
		}
		r = api.Retain{Bytes: n, Set: true}
	}
	return c.gc(ctx, r)
}

func (c *call) gc(ctx context.Context, r api.Retain) error {
	res, err := c.svc().GC(ctx, c.args[0], c.args[1], r, c.notices())
	if err != nil {
		return err
	}
	return c.reply.row(res.Relations, res.Truncated, res.Deleted, res.Dropped, res.Elapsed.Milliseconds())
}

func runLease(ctx context.Context, c *call) error {
	lsn, err := c.lsnArg(2)
	if err != nil {
		return err
	}
	until, err := c.svc().Lease(ctx, c.args[0], c.args[1], lsn)
	if err != nil {
		return err
	}
	return c.reply.row(until)
}

func runBasebackup(ctx context.Context, c *call) error { return c.backup(ctx, true) }
func runFullbackup(ctx context.Context, c *call) error { return c.backup(ctx, false) }

func (c *call) backup(ctx context.Context, skipRelations bool) error {
	point, err := pointOf(c.args[1], c.arg(2))
	if err != nil {
		return err
	}
	return c.export(ctx, point, skipRelations)
}

func runExport(ctx context.Context, c *call) error { return c.export(ctx, c.args[1], false) }

func (c *call) export(ctx context.Context, point string, skipRelations bool) error {
	o := api.ExportOptions{SkipRelations: skipRelations, Progress: c.notices()}
	var w io.Writer = c.reply.copyOut()
	if err := c.svc().Export(ctx, c.args[0], point, o, w); err != nil {
		return err
	}
	return c.reply.beginCopyOut() // an empty stream is a stream
}
