package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

// How long the end of pg exec may take.
const (
	commandGrace  = 10 * time.Second // from SIGTERM to the command until it is killed
	tearDownGrace = 2 * time.Minute  // to stop the throw-away postgres and to unmount
)

// Exit statuses of a command that did not run, or that a signal ended, as shells give them.
const (
	exitCannotRun   = 126
	exitNoSuchCmd   = 127
	exitBySignalOff = 128 // plus the signal's number
)

func cmdPgExec(e *environ) *cli.Command {
	return &cli.Command{
		Name: "exec", ArgsUsage: "POINT -- CMD [ARGS]",
		Usage: "run a command against a throw-away postgres at a point",
		Description: `CMD runs here, with PGHOST, PGPORT, PGUSER and PGDATABASE set; its exit status is ours. What it writes
to the database is thrown away. Examples:

   zenith pg exec main@-10m -- pg_dump -t orders | psql "$MAIN"
   zenith pg exec main@0/16B3748 -- psql -c 'select count(*) from orders'`,
		Flags: []cli.Flag{tenantFlag(), setFlag(), allowFlag(), copyFlag()},
		Action: func(c *cli.Context) error {
			if c.NArg() < 2 {
				return usagef("too few arguments; usage: %s", usageLine(c))
			}
			return e.runExec(c, c.Args().First(), c.Args().Tail())
		},
	}
}

func (e *environ) runExec(c *cli.Context, point string, argv []string) error {
	o, err := computeOptions(c)
	if err != nil {
		return err
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		point, err := e.point(ctx, s, point)
		if err != nil {
			return err
		}
		path, err := e.findCommand(ctx, s, point, argv[0])
		if err != nil {
			return err
		}
		copied, err := e.wantsCopy(ctx, c, s)
		if err != nil {
			return err
		}
		var cp api.Compute
		var stop func(context.Context) error
		if copied {
			cp, stop, err = e.execCopy(ctx, s, point, o)
		} else {
			cp, stop, err = s.PgExec(ctx, s.tenant, point, o)
		}
		if err != nil {
			return err
		}
		e.printNotes(cp)
		status := e.runAgainst(ctx, cp, path, argv)
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), tearDownGrace)
		defer cancel()
		if err := stop(ending); err != nil {
			return fmt.Errorf("tear down postgres at %s: %w", point, err)
		}
		return status
	})
}

// findCommand finds the program of a command as a shell does, and else among PostgreSQL's own programs,
// which Debian does not put into PATH: those of the major version of the point's branch, or of the default
// installation if that has no such program, as it may have the server only.
func (e *environ) findCommand(ctx context.Context, s *session, point, name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil || errors.Is(err, exec.ErrDot) {
		return path, nil
	}
	if !strings.Contains(name, "/") {
		for _, dir := range e.programs(ctx, s, point) {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path, nil
			}
		}
	}
	if errors.Is(err, os.ErrPermission) {
		fmt.Fprintf(e.err, "zenith: %s: permission denied\n", name)
		return "", statusError(exitCannotRun)
	}
	fmt.Fprintf(e.err, "zenith: %s: no such command\n", name)
	return "", statusError(exitNoSuchCmd)
}

// programs lists the directories of PostgreSQL's programs on this machine, those for the point's branch first.
// What cannot be found is left out: then the command is not found either.
func (e *environ) programs(ctx context.Context, s *session, point string) (dirs []string) {
	distribs, err := e.distribs(s.cfg)
	if err != nil {
		return nil
	}
	if v, err := s.version(ctx, point); err == nil {
		if d, err := distribs.For(ctx, v); err == nil {
			dirs = append(dirs, filepath.Join(d.Dir, "bin"))
		}
	}
	if d, err := distribs.Default(ctx); err == nil {
		dirs = append(dirs, filepath.Join(d.Dir, "bin"))
	}
	return dirs
}

// runAgainst runs the command with the environment to reach the postgres cp, and gives its exit status as
// an error. When a signal ends ctx, the command gets SIGTERM, and is killed after commandGrace. (The
// terminal sends the SIGINT of a ^C to the command itself.)
func (e *environ) runAgainst(ctx context.Context, cp api.Compute, path string, argv []string) error {
	return e.runWith(ctx, computeVariables(cp), path, argv)
}

// runWith is runAgainst with the variables that lead to a postgres.
func (e *environ) runWith(ctx context.Context, variables [][2]string, path string, argv []string) error {
	cmd := exec.CommandContext(ctx, path)
	cmd.Args = argv
	cmd.Env = connectTo(os.Environ(), variables)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.in, e.out, e.err
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = commandGrace
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case cmd.ProcessState == nil: // did not start
		fmt.Fprintf(e.err, "zenith: %s: %v\n", argv[0], err)
		return statusError(exitCannotRun)
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success():
		return nil
	case errors.As(err, &exit):
		return statusError(exitStatus(exit.ProcessState))
	case ctx.Err() != nil:
		return statusError(exitStatus(cmd.ProcessState))
	}
	return err
}

func exitStatus(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return exitBySignalOff + int(ws.Signal())
	}
	return state.ExitCode()
}

// otherwhere are the environment variables by which libpq might connect to another server than the
// throw-away postgres: pg exec removes them.
var otherwhere = []string{
	"PGHOST", "PGHOSTADDR", "PGPORT", "PGREQUIREPEER", "PGREQUIREAUTH", "PGUSER", "PGDATABASE", "PGSERVICE", "PGSERVICEFILE",
	"PGSSLMODE", "PGREQUIRESSL", "PGCHANNELBINDING", "PGGSSENCMODE", "PGTARGETSESSIONATTRS", "PGOPTIONS",
	"DATABASE_URL",
}

// computeVariables are the environment variables that lead libpq, and drivers that look at DATABASE_URL, to the postgres cp.
func computeVariables(cp api.Compute) [][2]string {
	return [][2]string{
		{"PGHOST", cmp.Or(cp.Socket, cp.Host)}, {"PGPORT", strconv.Itoa(cp.Port)}, {"PGUSER", cp.User}, {"PGDATABASE", cp.Database},
		{"DATABASE_URL", connString(cp)},
	}
}

// connectTo is env, without what could lead libpq elsewhere, and with variables.
func connectTo(env []string, variables [][2]string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(otherwhere, name)
	})
	for _, v := range variables {
		env = append(env, v[0]+"="+v[1])
	}
	return env
}
