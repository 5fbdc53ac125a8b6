package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"zenith/internal/access"
)

// environ is what all commands share: the standard streams and the global flags. The flags are
// filled in before the command runs, and nothing changes them afterwards.
type environ struct {
	in       io.Reader
	out, err io.Writer

	workdir   string // as the user wrote it: absolute, or relative to the current directory
	quiet     bool
	logFormat string // "" if the flag is not given: then pageserver.toml decides
	logLevel  string // likewise
}

// defaultWorkdir is the work directory if --workdir is not given: in the current directory, as .git is.
const defaultWorkdir = ".zenith"

const appDescription = `A session:

   zenith init                                 # make .zenith, with a fresh cluster as branch main
   zenith start                                # start the page server
   psql "$(zenith pg start main | tail -1)"    # start postgres on it, and use it
   zenith branch before main@-15m              # the state of a quarter of an hour ago
   zenith pg start before                      # postgres on that, beside the other
   zenith pg exec main@-10m -- pg_dump -t orders   # bring a table back
   zenith mount main@0/16B3748 /mnt/then       # files, read-only; fusermount3 and fuse needed
   zenith stop                                 # stops postgres, unmounts, stops the page server

A point is NAME, NAME@LSN (main@0/16B3748) or NAME@TIME. A time is an age (main@-15m, -1w), or as PostgreSQL and
people write it: '2026-11-30 16:18:26.4+01', 2026-11-30, 16:18, 'yesterday 18:00'; without a zone, in this machine's.
Main may be left out: -15m, @16:18, 0/16B3748.

Exit codes: 0 ok, 1 error, 2 usage, 10 no work directory, 11 locked or already in use, 12 not allowed,
13 no such tenant, branch, timeline or mount, 14 LSN outside what is kept, 15 mount failed, 16 timeout.`

// newApp makes the command line.
func newApp(e *environ) *cli.App {
	app := &cli.App{
		Name:        "zenith",
		Usage:       "git for PostgreSQL: branches, time travel, and data directories as mounts",
		UsageText:   "zenith [global flags] COMMAND [flags] [arguments]",
		Description: appDescription,
		Version:     version(),
		Reader:      e.in, Writer: e.out, ErrWriter: e.err,
		HideHelpCommand: true,
		// A value of --set may have commas: search_path, shared_preload_libraries.
		DisableSliceFlagSeparator: true,
		CustomAppHelpTemplate:     cli.AppHelpTemplate,
		ExitErrHandler:            func(*cli.Context, error) {}, // report prints errors and chooses the exit code
		OnUsageError:              onUsageError,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "workdir", Aliases: []string{"D"}, Value: defaultWorkdir, Usage: "the work directory, `DIR`; if it is not given, also looked for in the directories above"},
			&cli.StringFlag{Name: "log-format", Usage: "of the page server's log: text or json"},
			&cli.StringFlag{Name: "log-level", Usage: "of the page server's log: debug, info, warn or error"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress"},
		},
		Before: e.before,
		Action: e.noCommand,
		Commands: []*cli.Command{
			cmdInit(e), cmdStart(e), cmdStop(e), cmdRestart(e), cmdStatus(e),
			cmdTenant(e), cmdUser(e), cmdToken(e), cmdBranch(e), cmdTag(e), cmdDu(e), cmdLSN(e), cmdMount(e), cmdUmount(e), cmdPg(e),
			cmdURI(e), cmdPsql(e), cmdEnv(e), cmdCheckout(e),
			cmdReceive(e), cmdRemote(e), cmdPush(e), cmdExport(e), cmdLog(e), cmdShow(e), cmdFind(e), cmdGC(e), cmdCheck(e), cmdWAL(e), cmdPage(e), cmdPrivileged(e),
		},
	}
	finish(app.Commands)
	return app
}

// finish sets what all commands have in common, subcommands included.
func finish(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = onUsageError
		c.HideHelpCommand = true
		finish(c.Subcommands)
	}
}

func onUsageError(c *cli.Context, err error, _ bool) error {
	name := "zenith"
	if c.Command != nil && c.Command.HelpName != "" {
		name = c.Command.HelpName
	}
	return usagef("%v (see %s --help)", err, name)
}

// before checks the global flags and puts them into e. The library calls it before any command.
func (e *environ) before(c *cli.Context) error {
	e.workdir, e.quiet = c.String("workdir"), c.Bool("quiet")
	if dir, err := os.Getwd(); err == nil && !c.IsSet("workdir") && c.Args().First() != "init" {
		e.workdir = upwards(dir, e.workdir)
	}
	e.logFormat, e.logLevel = c.String("log-format"), c.String("log-level")
	if e.workdir == "" {
		return usagef("--workdir: is empty")
	}
	if e.logFormat != "" && e.logFormat != logText && e.logFormat != logJSON {
		return usagef("--log-format %q: want %s or %s", e.logFormat, logText, logJSON)
	}
	if e.logLevel != "" {
		if _, err := parseLevel(e.logLevel); err != nil {
			return usagef("--log-level: %v", err)
		}
	}
	return nil
}

// upwards looks for a work directory of that name in the directories above dir, as git does for .git, if dir has none
// itself. It gives name where it is in dir, or nowhere, else its path.
func upwards(dir, name string) string {
	if isWorkdir(filepath.Join(dir, name)) {
		return name
	}
	for dir != filepath.Dir(dir) {
		if dir = filepath.Dir(dir); isWorkdir(filepath.Join(dir, name)) {
			return filepath.Join(dir, name)
		}
	}
	return name
}

// isWorkdir reports whether a directory has the settings that init makes.
func isWorkdir(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, configFile))
	return err == nil
}

// noCommand runs for a command line without a command: it prints the help, and the exit code is that of a
// usage error.
func (e *environ) noCommand(c *cli.Context) error {
	c.App.Writer = e.err
	if err := cli.ShowAppHelp(c); err != nil {
		return err
	}
	return statusError(exitUsage)
}

// The formats of the page server's log.
const (
	logText = "text"
	logJSON = "json"
)

// parseLevel reads the name of a log level.
func parseLevel(s string) (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s)); err != nil {
		return l, fmt.Errorf("%q: want debug, info, warn or error", s)
	}
	return l, nil
}

// nameLevel writes the level of audit lines as AUDIT.
func nameLevel(_ []string, a slog.Attr) slog.Attr {
	if l, ok := a.Value.Any().(slog.Level); ok && a.Key == slog.LevelKey && l == access.LevelAudit {
		return slog.String(a.Key, "AUDIT")
	}
	return a
}

// newLog makes a log in one of the formats.
func newLog(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: nameLevel}
	if format == logJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// withArgs gives an action for a command that takes at least least and at most most arguments.
func withArgs(least, most int, action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := wantArgs(c, least, most); err != nil {
			return err
		}
		return action(c)
	}
}

// wantArgs checks that a command has at least least and at most most arguments.
func wantArgs(c *cli.Context, least, most int) error {
	n := c.NArg()
	if n >= least && n <= most {
		return nil
	}
	what := "too many arguments"
	if n < least {
		what = "too few arguments"
	}
	return usagef("%s; usage: %s", what, usageLine(c))
}

// usageLine gives one line on how to call a command: its name and its arguments.
func usageLine(c *cli.Context) string {
	line := c.Command.HelpName
	if c.Command.ArgsUsage != "" {
		line += " " + c.Command.ArgsUsage
	}
	return line
}

// tenantFlag makes the flag --tenantid, which every command on a tenant's data has.
func tenantFlag() cli.Flag {
	return &cli.StringFlag{Name: "tenantid", Usage: "tenant, 32 `HEX` digits (default: the one of init)"}
}
