package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
	"zenith/internal/postgres"
)

func cmdPg(e *environ) *cli.Command {
	return &cli.Command{
		Name:  "pg",
		Usage: "stock postgres servers, each on a mount of its own",
		Description: `Examples:

   zenith pg start main                      the last line printed is the connection string
   zenith pg start dev --port 5544 --set work_mem=64MB
   zenith pg start dev --unset work_mem
   zenith pg start main@0/16B3748            on a scratch mount: writes are thrown away
   zenith pg list
   zenith pg stop dev
   zenith pg restart --all                   after an upgrade of PostgreSQL
   zenith pg logs dev -f
   zenith pg exec main@-10m -- pg_dump -t orders`,
		Action: func(c *cli.Context) error {
			return usagef("want zenith pg create, start, stop, restart, reload, logs, list, exec or distribs")
		},
		Subcommands: []*cli.Command{cmdPgCreate(e), cmdPgStart(e), cmdPgStop(e), cmdPgRestart(e), cmdPgReload(e), cmdPgLogs(e), cmdPgList(e), cmdPgExec(e), cmdPgDistribs(e)},
	}
}

func computeFlags() []cli.Flag {
	return []cli.Flag{
		tenantFlag(),
		&cli.IntFlag{Name: "port", Usage: "`PORT` (default: the one it had, or a free one)"},
		setFlag(),
		&cli.StringSliceFlag{Name: "unset", Usage: "forget a `SETTING` of an earlier --set; may be given more than once"},
		allowFlag(),
		copyFlag(),
	}
}

func allowFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "allow", Usage: "open a `CHANNEL` that is closed on copies: " + strings.Join(postgres.OpenChannels(), ", ") + "; may be given more than once"}
}

// channelHelp lists what is closed on copies.
func channelHelp() string {
	var b strings.Builder
	b.WriteString("A postgres on a copy does not reach, unless --allow opens the channel:\n")
	for _, ch := range postgres.Channels() {
		where := ""
		if ch.Never {
			where = " (never)"
		} else if ch.OfMain {
			where = " (nor does main)"
		}
		fmt.Fprintf(&b, "\n   %-14s %s%s", ch.Name, ch.Reaches, where)
	}
	return b.String()
}

func setFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "set", Usage: "`SETTING=VALUE` of postgresql.conf; may be given more than once"}
}

// computeOptions reads the flags of computeFlags, as far as the command has them.
func computeOptions(c *cli.Context) (o api.ComputeOptions, err error) {
	o.Port = c.Int("port")
	if c.IsSet("port") && (o.Port < 1 || o.Port > 65535) {
		return o, usagef("--port %d: want 1 to 65535", o.Port)
	}
	for _, s := range c.StringSlice("set") {
		name, value, found := strings.Cut(s, "=")
		name = strings.TrimSpace(name)
		if !found || name == "" {
			return o, usagef("--set %q: want SETTING=VALUE", s)
		}
		if strings.EqualFold(name, "port") {
			return o, usagef("--set port: use --port")
		}
		o.Settings = append(o.Settings, api.Setting{Name: name, Value: strings.TrimSpace(value)})
	}
	for _, name := range c.StringSlice("unset") {
		if name = strings.TrimSpace(name); name == "" || strings.Contains(name, "=") {
			return o, usagef("--unset %q: want the name of a setting", name)
		}
		o.Unset = append(o.Unset, name)
	}
	o.Allow, o.AsOriginal = c.StringSlice("allow"), c.Bool("as-original")
	for _, name := range o.Allow {
		if !slices.Contains(postgres.OpenChannels(), name) {
			return o, usagef("--allow %q: want one of %s", name, strings.Join(postgres.OpenChannels(), ", "))
		}
	}
	return o, nil
}

func cmdPgCreate(e *environ) *cli.Command {
	return &cli.Command{
		Name: "create", ArgsUsage: "NAME", Usage: "make a postgres for a branch and do not start it", Flags: computeFlags(),
		Action: func(c *cli.Context) error {
			return e.runCompute(c, api.ComputeService.PgCreate, false, func(cp api.Compute) error {
				fmt.Fprintf(e.out, "created postgres %s\n", cp.Name)
				return nil
			})
		},
	}
}

func cmdPgStart(e *environ) *cli.Command {
	return &cli.Command{
		Name: "start", ArgsUsage: "POINT", Usage: "start postgres; prints the connection string alone on the last line",
		Description: channelHelp(),
		Flags: append(computeFlags(),
			&cli.BoolFlag{Name: "tcp", Usage: "print a connection string with host, port and password, for programs that know no unix sockets"},
			&cli.BoolFlag{Name: "as-original", Usage: "open every channel: this postgres takes the place of the server whose data it has (see docs/copies.md)"}),
		Action: func(c *cli.Context) error {
			return e.runCompute(c, api.ComputeService.PgStart, true, func(cp api.Compute) error {
				uri, err := e.startedString(cp, c.Bool("tcp"))
				if err == nil {
					fmt.Fprintf(e.out, "postgres %s accepts connections\n%s\n", cp.Name, uri)
				}
				return err
			})
		},
	}
}

type computeCall func(api.ComputeService, context.Context, string, string, api.ComputeOptions) (api.Compute, error)

func (e *environ) runCompute(c *cli.Context, do computeCall, start bool, done func(api.Compute) error) error {
	if err := wantArgs(c, 1, 1); err != nil {
		return err
	}
	o, err := computeOptions(c)
	if err != nil {
		return err
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		point, err := e.point(ctx, s, c.Args().First())
		if err != nil {
			return err
		}
		copied, err := e.wantsCopy(ctx, c, s)
		var cp api.Compute
		switch {
		case err != nil:
		case copied:
			cp, err = e.pgCopy(ctx, s, point, o, start)
		default:
			cp, err = do(s.client, ctx, s.tenant, point, o)
		}
		if err == nil {
			e.printNotes(cp)
			err = done(cp)
		}
		return err
	})
}

// printNotes prints what whoever uses the postgres should know, on stderr: the address stays alone on
// the last line of stdout.
func (e *environ) printNotes(cp api.Compute) {
	for _, note := range cp.Notes {
		fmt.Fprintf(e.err, "zenith: postgres %s: %s\n", cp.Name, note)
	}
}

// connString gives the connection URI of a postgres, which psql and drivers understand: through its unix socket,
// which asks its owner for no password.
func connString(cp api.Compute) string {
	if cp.Socket == "" {
		return tcpString(cp, "")
	}
	u := url.URL{Scheme: "postgresql", User: url.User(cp.User), Path: "/" + cp.Database}
	u.RawQuery = url.Values{"host": {cp.Socket}, "port": {strconv.Itoa(cp.Port)}}.Encode()
	return u.String()
}

// tcpString gives the connection URI of a postgres for what knows no unix sockets; password may be "".
func tcpString(cp api.Compute, password string) string {
	u := url.URL{Scheme: "postgresql", User: url.User(cp.User), Host: net.JoinHostPort(cp.Host, strconv.Itoa(cp.Port)), Path: "/" + cp.Database}
	if password != "" {
		u.User = url.UserPassword(cp.User, password)
	}
	return u.String()
}

// startedString gives the connection string that pg start prints.
func (e *environ) startedString(cp api.Compute, tcp bool) (string, error) {
	if !tcp {
		return connString(cp), nil
	}
	if cp.Host == "" {
		return "", api.Errorf(api.ErrNotAllowed, "pg %s: it has no TCP port (--set listen_addresses=127.0.0.1 gives it one)", cp.Name)
	}
	if cp.PasswordFile == "" {
		return tcpString(cp, ""), nil
	}
	password, err := e.readPassword(cp.PasswordFile)
	return tcpString(cp, password), err
}

// address says where a postgres listens: its TCP port, or else its unix socket.
func address(cp api.Compute) string {
	if cp.Host == "" {
		return fmt.Sprintf("%s/.s.PGSQL.%d", cp.Socket, cp.Port)
	}
	return net.JoinHostPort(cp.Host, strconv.Itoa(cp.Port))
}

func cmdPgStop(e *environ) *cli.Command {
	return &cli.Command{
		Name: "stop", ArgsUsage: "NAME", Usage: "stop postgres and unmount",
		Flags: []cli.Flag{
			tenantFlag(),
			&cli.BoolFlag{Name: "destroy", Usage: "forget its settings and directory too (the branch stays)"},
			&cli.BoolFlag{Name: "copy", Usage: "the one on a copy; --copy=false: the one on a mount (default: the only one of the two)"},
			&cli.StringFlag{Name: "mode", Aliases: []string{"m"}, Usage: "`MODE` of pg_ctl stop: smart, fast or immediate (default: fast; immediate where --destroy throws away what is on a copy or a scratch mount)"},
		},
		Action: withArgs(1, 1, func(c *cli.Context) error {
			mode := c.String("mode")
			if mode != "" && !slices.Contains(api.StopModes, mode) {
				return usagef("--mode %q: want smart, fast or immediate", mode)
			}
			return e.runPgStop(c, c.Args().First(), api.StopOptions{Mode: mode, Destroy: c.Bool("destroy")})
		}),
	}
}

// runPgStop stops the postgres on a copy on this machine, if there is one of that name: that needs no page
// server. Otherwise it asks the page server to stop the postgres that it runs.
func (e *environ) runPgStop(c *cli.Context, name string, o api.StopOptions) error {
	alone, err := e.unconnected(c)
	if err != nil {
		return err
	}
	copied, err := e.findCopy(alone, fullPoint(name))
	if err != nil {
		return err
	}
	onCopy := copied != nil
	if c.IsSet("copy") {
		onCopy = c.Bool("copy")
	} else if onCopy {
		if onCopy, err = e.meansCopy(c, name, copied, o); err != nil {
			return err
		}
	}
	switch {
	case onCopy && copied == nil:
		err = api.Errorf(api.ErrNotFound, "pg %s: there is no copy of that name", name)
	case onCopy:
		err = copied.Stop(c.Context, o)
	default:
		err = e.withTenant(c, func(ctx context.Context, s *session) error {
			point, err := e.point(ctx, s, name)
			if err != nil {
				return err
			}
			return s.PgStop(ctx, s.tenant, point, o)
		})
	}
	if err == nil {
		fmt.Fprintf(e.out, "stopped postgres %s\n", name)
	}
	return err
}

// meansCopy tells whether a stop of the postgres called name means the one on a copy, or one of that name that the
// page server, as far as it can be asked, runs on a mount. It refuses where it may be either.
func (e *environ) meansCopy(c *cli.Context, name string, copied *postgres.Copy, o api.StopOptions) (bool, error) {
	affected := func(cp api.Compute) bool { return o.Destroy || cp.Status != api.ComputeStopped }
	there, err := copied.Describe()
	if err != nil {
		return false, err
	}
	onMount := false
	err = e.withTenant(c, func(ctx context.Context, s *session) error {
		list, err := s.PgList(ctx, s.tenant)
		onMount = slices.ContainsFunc(list, func(cp api.Compute) bool { return cp.Name == fullPoint(name) && affected(cp) })
		return err
	})
	switch {
	case err != nil && !errors.Is(err, api.ErrUnavailable):
		return false, err
	case onMount && affected(there):
		return false, usagef("pg stop %s: there is one on a mount and one on a copy: say --copy or --copy=false", name)
	}
	return !onMount, nil
}

func cmdPgList(e *environ) *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "every postgres: branch, address, LSN, status",
		Flags: []cli.Flag{tenantFlag(), outputFlag()},
		Action: withArgs(0, 0, func(c *cli.Context) error {
			return list(e, c, e.withTenant, e.allComputes, computeColumns)
		}),
	}
}

var computeColumns = []column[api.Compute]{
	{name: "branch", text: func(cp api.Compute) string { return cp.Name }},
	{name: "address", text: address},
	{name: "lsn", text: func(cp api.Compute) string { return cp.LSN.String() }},
	{name: "status", text: func(cp api.Compute) string { return cp.Status }},
	{name: "timeline", text: func(cp api.Compute) string { return cp.Timeline }, hidden: true},
	{name: "user", text: func(cp api.Compute) string { return cp.User }, hidden: true},
	{name: "database", text: func(cp api.Compute) string { return cp.Database }, hidden: true},
	{name: "account", text: func(cp api.Compute) string { return cp.Account }, hidden: true},
	{name: "dir", text: func(cp api.Compute) string { return cp.Dir }, hidden: true},
	{name: "log", text: func(cp api.Compute) string { return cp.Log }, hidden: true},
	{name: "uri", text: connString, hidden: true},
	{name: "password_file", text: func(cp api.Compute) string { return cp.PasswordFile }, hidden: true},
	{name: "wal", text: func(cp api.Compute) string { return cp.WAL }, hidden: true},
	{name: "restarts", text: func(cp api.Compute) string { return strconv.Itoa(cp.Restarts) }, hidden: true},
	{name: "notes", text: func(cp api.Compute) string { return strings.Join(cp.Notes, "; ") }, hidden: true},
}

// allComputes gives the postgres servers that the page server runs, and those on copies on this machine. Where
// they run stands behind their status, if it is not on mounts of this machine.
func (e *environ) allComputes(ctx context.Context, s *session) ([]api.Compute, error) {
	computes, err := s.PgList(ctx, s.tenant)
	if err != nil {
		return nil, err
	}
	copies, err := e.listCopies(s)
	if err != nil {
		return nil, err
	}
	away, err := e.elsewhere(ctx, s)
	if err != nil {
		return nil, err
	}
	if away { // a loopback address of the page server's machine is of no use here
		for i := range computes {
			computes[i].Status += "(there)"
		}
	}
	for _, cp := range copies {
		cp.Status += "(copy)"
		computes = append(computes, cp)
	}
	return computes, nil
}
