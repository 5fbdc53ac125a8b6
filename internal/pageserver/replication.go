package pageserver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/pg"
	"zenith/internal/startup"
)

// replRequest is a parsed replication command; which fields are set depends on the command.
type replRequest struct {
	name      string // of a setting
	slot      string
	temporary bool
	start     pg.LSN
	tli       pg.TLI
	options   []replOption
}

// replCommand is one row of the replication commands.
type replCommand struct {
	name  string
	cols  []column
	role  access.Role // the least role that may do it for the branch's tenant
	slot  bool        // a slot that is not the connection's own takes a writer
	gives bool        // it gives out data
	reads bool        // the handler reads from the client itself
	parse func(*replParser, *replRequest) error
	run   func(ctx context.Context, c *call, src api.ReplicationSource, r *replRequest) error
}

var replCommands = []replCommand{
	{name: "IDENTIFY_SYSTEM", role: access.Reader, cols: systemIDRow.cols, parse: parseNothing, run: replIdentify},
	{name: "SHOW", role: access.Reader, parse: parseShow, run: replShow},
	{name: "TIMELINE_HISTORY", role: access.Reader, cols: textColumns("filename", "content"), parse: parseTimelineHistory, run: replTimelineHistory},
	{name: "START_REPLICATION", role: access.Reader, slot: true, gives: true, reads: true, parse: parseStartReplication, run: startReplication},
	{name: "BASE_BACKUP", role: access.Reader, gives: true, parse: parseBaseBackup, run: baseBackup},
	{name: "UPLOAD_MANIFEST", role: access.Reader, gives: true, parse: parseNothing, run: uploadManifest},
	{name: "CREATE_REPLICATION_SLOT", role: access.Reader, slot: true, cols: textColumns("slot_name", "consistent_point", "snapshot_name", "output_plugin"),
		parse: parseCreateSlot, run: createSlot},
	{name: "DROP_REPLICATION_SLOT", role: access.Reader, slot: true, parse: parseDropSlot, run: dropSlot},
	{name: "READ_REPLICATION_SLOT", role: access.Reader, cols: []column{{"slot_type", typeText}, {"restart_lsn", typeText}, {"restart_tli", typeInt8}},
		parse: parseReadSlot, run: readSlot},
}

// replicationQuery answers a Query message that is a replication command; ours is false if
// it is not.
func (c *conn) replicationQuery(query string) (ours bool, err error) {
	p, err := parseReplication(query)
	if err != nil || p.next.kind != tokenIdent {
		return false, nil //nolint:nilerr // not a replication command: the others' parser says so better
	}
	for i := range replCommands {
		if strings.ToLower(replCommands[i].name) == p.next.text {
			return true, c.replicationCommand(&replCommands[i], p)
		}
	}
	return false, nil
}

func (c *conn) replicationCommand(rc *replCommand, p *replParser) error {
	err := p.advance()
	r := &replRequest{}
	if err == nil {
		err = rc.parse(p, r)
	}
	if err == nil {
		err = p.end()
	}
	if err == nil {
		cmd := &verb{name: rc.name, role: c.slotRole(rc, r), args: replArgs, gives: rc.gives, reads: rc.reads, long: rc.gives, run: func(ctx context.Context, c *call) error {
			return c.replicate(ctx, func(src api.ReplicationSource) error { return rc.run(ctx, c, src, r) })
		}}
		err = c.run(cmd, []string{c.ownTenant()}, &reply{c: c, cols: rc.cols})
	}
	if c.broken != nil {
		return c.broken
	}
	if err == nil {
		err = c.send(&pgproto3.CommandComplete{CommandTag: []byte(rc.name)})
	} else {
		err = c.sendError("ERROR", err)
	}
	return errors.Join(err, c.ready())
}

// replArgs has a replication command's tenant be checked as a verb's.
var replArgs = argsOf[tenantArgs]()

// slotRole gives the role that a replication command takes: a reader has only temporary slots of its own.
func (c *conn) slotRole(rc *replCommand, r *replRequest) access.Role {
	if !rc.slot || r.slot == "" || r.temporary || c.owns(r.slot) {
		return rc.role
	}
	return access.Writer
}

// replicate calls fn with the branch that the connection names.
func (c *call) replicate(ctx context.Context, fn func(api.ReplicationSource) error) (err error) {
	src, err := c.srv.opt.Replication.Replicate(ctx, c.ownTenant(), c.branch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	return fn(src)
}

func parseNothing(*replParser, *replRequest) error { return nil }

// errIncremental is the answer to clients that want an incremental backup, which PostgreSQL has from version 17 on.
var errIncremental = &api.Error{Kind: api.ErrUnsupported, Msg: "incremental backups are not supported here: take a full one"}

// uploadManifest is what a client begins an incremental backup with.
func uploadManifest(context.Context, *call, api.ReplicationSource, *replRequest) error {
	return errIncremental
}

// systemIDRow is the reply to IDENTIFY_SYSTEM.
var systemIDRow = rowOf[api.SystemID]()

func replIdentify(ctx context.Context, c *call, src api.ReplicationSource, _ *replRequest) error {
	s, err := src.System(ctx)
	if err != nil {
		return err
	}
	return c.reply.send(systemIDRow, s.SystemID)
}

func parseShow(p *replParser, r *replRequest) (err error) {
	if r.name, err = p.ident(); err != nil {
		return err
	}
	for {
		if more, err := p.other("."); !more || err != nil {
			return err
		}
		part, err := p.ident()
		if err != nil {
			return err
		}
		r.name += "." + part
	}
}

// replShow gives one setting, in a column of its name.
func replShow(ctx context.Context, c *call, src api.ReplicationSource, r *replRequest) error {
	c.reply.cols = textColumns(r.name)
	s, err := src.System(ctx)
	if err != nil {
		return err
	}
	own := append([]api.Setting{{Name: "wal_segment_size", Value: sizeText(s.SegSize)}}, s.Settings...)
	for _, setting := range own {
		if setting.Name == r.name {
			return c.reply.row(setting.Value)
		}
	}
	value, err := settingValue(c.version, r.name)
	if err != nil {
		return err
	}
	return c.reply.row(value)
}

// sizeText writes a number of bytes as SHOW does.
func sizeText(n int) string {
	for _, unit := range []struct {
		size int
		name string
	}{{1 << 30, "GB"}, {1 << 20, "MB"}, {1 << 10, "kB"}} {
		if n%unit.size == 0 {
			return strconv.Itoa(n/unit.size) + unit.name
		}
	}
	return strconv.Itoa(n)
}

func parseTimelineHistory(p *replParser, r *replRequest) (err error) {
	r.tli, err = p.timeline()
	return err
}

// replTimelineHistory is SendTimeLineHistory: it gives the history file of a timeline. A branch whose WAL begins on
// a timeline other than 1 may have come without that file. Clients insist on one, and pass over comments: they
// get a file that names no ancestor, of which nothing is kept.
func replTimelineHistory(ctx context.Context, c *call, src api.ReplicationSource, r *replRequest) error {
	content, err := src.TimelineHistory(ctx, r.tli)
	if isKind(err, api.ErrNotFound) && r.tli == src.History()[0].TLI && r.tli != 1 {
		content, err = fmt.Appendf(nil, "# what is kept of this branch begins on timeline %d\n", uint32(r.tli)), nil
	}
	if isKind(err, api.ErrNotFound) {
		return &api.Error{Kind: errNoFile, Msg: fmt.Sprintf("could not open file \"%s\": No such file or directory", pg.HistoryPath(r.tli))}
	}
	if err != nil {
		return err
	}
	return c.reply.row(pg.HistoryName(r.tli), string(content))
}

// branchOf gives the tenant and the branch that a replication connection names: as dbname,
// or as the setting zenith.branch in options, for the stock clients send dbname=replication,
// whatever they were told.
func branchOf(params map[string]string) (tenant, branch string) {
	name := startup.Option(params["options"], settingBranch)
	if db := params["database"]; name == "" && db != "replication" {
		name = db
	}
	tenant, branch, found := strings.Cut(name, "/")
	if !found {
		tenant, branch = "", name
	}
	return tenant, branch
}

// settingBranch is the setting that names a branch: [TENANT/]BRANCH.
const settingBranch = "zenith.branch"
