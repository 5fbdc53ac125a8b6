package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
	"zenith/internal/dirfd"
	"zenith/internal/postgres"
	"zenith/tenants"
)

func cmdURI(e *environ) *cli.Command {
	return &cli.Command{
		Name: "uri", ArgsUsage: "[POINT [DB]]", Usage: "the connection string of any state, by the gateway",
		Description: `Nothing is started: the gateway does that when somebody connects. Without POINT it is the branch of zenith checkout, or
main. Examples:

   zenith uri dev                      for psql and drivers on this machine, through a unix socket and without a password
   zenith uri dev app --tcp            with host, port and password
   psql "$(zenith uri main@-10m app)"  ten minutes ago; what you write there is thrown away`,
		Flags: []cli.Flag{tenantFlag(), gatewayTCPFlag()},
		Action: withArgs(0, 2, func(c *cli.Context) error {
			return e.withAddress(c, func(_ context.Context, _ *session, a gatewayAddress) error {
				fmt.Fprintln(e.out, a.uri())
				return nil
			})
		}),
	}
}

func gatewayTCPFlag() cli.Flag {
	return &cli.BoolFlag{Name: "tcp", Usage: "with host, port and password, for programs that know no unix sockets"}
}

func cmdPsql(e *environ) *cli.Command {
	return &cli.Command{
		Name: "psql", ArgsUsage: "[POINT [DB]] [-- ARGS]", Usage: "psql on any state, by the gateway",
		Description: `Without POINT it is the branch of zenith checkout, or main. What follows -- goes to psql. Examples:

   zenith psql
   zenith psql main@-10m app
   zenith psql dev -- -c 'select 1'`,
		Flags: []cli.Flag{tenantFlag(), gatewayTCPFlag()},
		Action: func(c *cli.Context) error {
			return e.withAddress(c, func(ctx context.Context, s *session, a gatewayAddress) error {
				path, err := e.findCommand(ctx, s, a.point, "psql")
				if err != nil {
					return err
				}
				_, rest := splitArgs(c.Args().Slice())
				return e.runWith(ctx, a.variables(), path, append([]string{"psql"}, rest...))
			})
		},
	}
}

func cmdEnv(e *environ) *cli.Command {
	return &cli.Command{
		Name: "env", ArgsUsage: "[POINT [DB]]", Usage: "the variables by which psql and drivers find a state, for the shell",
		Description: `Without POINT it is the branch of zenith checkout, or main. Examples:

   eval "$(zenith env)"                     DATABASE_URL, PGHOST, PGPORT, PGUSER, PGDATABASE
   echo 'eval "$(zenith env)"' >> .envrc    with direnv`,
		Flags: []cli.Flag{tenantFlag(), gatewayTCPFlag()},
		Action: withArgs(0, 2, func(c *cli.Context) error {
			return e.withAddress(c, func(_ context.Context, _ *session, a gatewayAddress) error {
				for _, v := range a.variables() {
					fmt.Fprintf(e.out, "export %s=%s\n", v[0], shellWord(v[1]))
				}
				return nil
			})
		}),
	}
}

// shellWord quotes a value for a shell.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// splitArgs cuts a command's arguments at those that are for the program that it runs: at --, or at the first that looks like
// an option. (The library has eaten a -- that comes first.)
func splitArgs(args []string) (own, rest []string) {
	for i, a := range args {
		if a == "--" {
			return args[:i], args[i+1:]
		}
		if len(a) > 1 && a[0] == '-' && (a[1] < '0' || a[1] > '9') {
			return args[:i], args[i:]
		}
	}
	return args, nil
}

// gatewayAddress is how a client reaches a state through the gateway.
type gatewayAddress struct {
	host, port     string // host: a directory with a unix socket, or a host
	user, password string // password "": none is needed, or it is not known here
	database       string // with the point behind it: DB@POINT
	point          string
}

// withAddress connects to the page server and finds out how the state that the command's arguments name is reached.
func (e *environ) withAddress(c *cli.Context, do func(context.Context, *session, gatewayAddress) error) error {
	args, _ := splitArgs(c.Args().Slice())
	if len(args) > 2 {
		return usagef("too many arguments; usage: %s", usageLine(c))
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		a, err := e.gatewayAddress(ctx, s, append(args, "", ""), c.Bool("tcp"))
		if err != nil {
			return err
		}
		return do(ctx, s, a)
	})
}

// gatewayAddress finds out how the state is reached that args name: a point and a database, of which both may be "".
func (e *environ) gatewayAddress(ctx context.Context, s *session, args []string, tcp bool) (a gatewayAddress, err error) {
	a.point = args[0]
	if a.point == "" {
		if a.point, err = checkedOut(); err != nil {
			return a, err
		}
	}
	if a.point, err = e.point(ctx, s, a.point); err != nil {
		return a, err
	}
	if _, err := s.LSN(ctx, s.tenant, a.point); err != nil { // a typo is told here, and not by a driver later
		return a, err
	}
	login, passwordFile, err := e.loginOf(ctx, s, a.point)
	if err != nil {
		return a, err
	}
	a.user = login.User
	a.database = s.databaseAt(cmp.Or(args[1], login.Database), a.point)
	listen, err := gatewayOf(ctx, s)
	if err != nil {
		return a, err
	}
	if a.host, a.port, err = net.SplitHostPort(listen); err != nil {
		return a, fmt.Errorf("address of the gateway: %w", err)
	}
	if dir, ok := e.gatewaySocket(a.port); ok && !tcp {
		a.host = dir
		return a, nil
	}
	if a.host, err = e.reachable(s, a.host); err != nil {
		return a, err
	}
	if tcp && passwordFile != "" {
		a.password, err = e.readOwnPassword(passwordFile)
	}
	return a, err
}

// readOwnPassword reads a password file in the work directory, which may be another account's: what is not that account's
// is not read, lest its links have this process read a file of its own user's, and tell it to whom it connects.
func (e *environ) readOwnPassword(path string) (password string, err error) {
	real, err := realParent(path)
	if err != nil {
		return "", err
	}
	f, err := dirfd.OpenFile(real, os.O_RDONLY, 0)
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	dir, err := os.Stat(e.workdir)
	if err == nil && ownerOf(fi) != ownerOf(dir) {
		err = api.Errorf(api.ErrNotAllowed, "%s: belongs to user %d, and not to the owner of the work directory", path, ownerOf(fi))
	}
	if err != nil {
		return "", err
	}
	return firstLine(f)
}

// gatewayOf gives the HOST:PORT where the gateway of the page server listens.
func gatewayOf(ctx context.Context, s *session) (string, error) {
	rows, err := s.Status(ctx)
	if err != nil {
		return "", err
	}
	for _, r := range rows {
		if r.Name == api.GatewayRow && r.Value != "" {
			return r.Value, nil
		}
	}
	return "", api.Errorf(api.ErrNotAllowed, "the page server has no gateway (zenith restart --gateway 127.0.0.1:5432, or gateway.listen in %s)", serverFile)
}

// gatewaySocket gives the directory of the gateway's unix socket, if there is one here that libpq can name.
func (e *environ) gatewaySocket(port string) (dir string, ok bool) {
	dir, err := e.absWorkdir()
	path := filepath.Join(dir, ".s.PGSQL."+port)
	if err != nil || !e.local() || socketHint(path) != "" {
		return "", false
	}
	_, err = os.Stat(path)
	return dir, err == nil
}

// reachable gives the host by which a client here reaches a gateway that listens on host: that of the page server, where that is
// any address of its machine.
func (e *environ) reachable(s *session, host string) (string, error) {
	if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
		return host, nil
	}
	server, _, err := net.SplitHostPort(s.Addr())
	if e.local() || err != nil {
		return "127.0.0.1", nil
	}
	return server, nil
}

// loginOf finds the role and the database with which clients begin that know none: those of the postgres that ran last on the
// point's branch, or on main.
func (e *environ) loginOf(ctx context.Context, s *session, point string) (login postgres.Login, passwordFile string, err error) {
	name, _, _ := api.SplitPoint(point)
	list, err := s.PgList(ctx, s.tenant)
	if err != nil {
		return login, "", err
	}
	login = postgres.UsualLogin
	for _, cp := range list {
		if cp.Name == api.MainBranch {
			login = postgres.Login{User: cp.User, Database: cp.Database}
		}
	}
	for _, cp := range list {
		if cp.Name == name {
			login = postgres.Login{User: cp.User, Database: cp.Database}
		}
	}
	if e.local() { // what the page server says of files is not asked for: it may be a stranger's
		passwordFile, err = e.passwordFile(s.tenant)
	}
	return login, passwordFile, err
}

// passwordFile gives the path of the file with the password of a tenant's superuser, "" if there is none.
func (e *environ) passwordFile(tenant string) (string, error) {
	path := e.path(filepath.Join(tenantsDir, tenant, tenants.PasswordName))
	_, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	}
	return path, nil
}

// databaseAt gives the name by which the gateway finds a database at a point: DB for main's head, else DB@POINT, in which an LSN has
// no slash. A tenant other than the work directory's own stands before the point.
func (s *session) databaseAt(database, point string) string {
	if name, at, found := api.SplitPoint(point); found {
		if p, err := api.ParsePoint(point, time.Now()); err == nil && p.LSN != 0 {
			at = strings.ReplaceAll(at, "/", "_")
		}
		point = name + "@" + at
	}
	if s.tenant != string(s.cfg.TenantID) {
		return database + "@" + s.tenant + "/" + point
	}
	if point == api.MainBranch {
		return database
	}
	return database + "@" + point
}

// uri gives the connection URI.
func (a gatewayAddress) uri() string {
	u := url.URL{Scheme: "postgresql", User: url.User(a.user), Path: "/" + a.database}
	if a.password != "" {
		u.User = url.UserPassword(a.user, a.password)
	}
	if filepath.IsAbs(a.host) {
		u.RawQuery = url.Values{"host": {a.host}, "port": {a.port}}.Encode()
	} else {
		u.Host = net.JoinHostPort(a.host, a.port)
	}
	return u.String()
}

// variables are the environment variables that lead libpq, and drivers, there.
func (a gatewayAddress) variables() [][2]string {
	list := [][2]string{{"DATABASE_URL", a.uri()}, {"PGHOST", a.host}, {"PGPORT", a.port}, {"PGUSER", a.user}, {"PGDATABASE", a.database}}
	if a.password != "" {
		list = append(list, [2]string{"PGPASSWORD", a.password})
	}
	return list
}
