package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

func cmdLog(e *environ) *cli.Command {
	return &cli.Command{
		Name: "log", ArgsUsage: "[POINT]",
		Usage: "what transactions did to which tables, the newest first",
		Description: `The first column is the point to branch from: the state right behind the commit.

Examples:

   zenith log                               all of main
   zenith log main --since -30m
   zenith log main@-1h -n 20                the last twenty before that
   zenith log main -t app.orders -n 5
   zenith log main --xid 728
   zenith log main --grep 'DROP|TRUNCATE'
   zenith log main -n 5 -f                  the last five, and those that come
   zenith log main -o json | jq .`,
		Flags: []cli.Flag{
			tenantFlag(), outputFlag(),
			&cli.StringFlag{Name: "since", Usage: "not what ended at `MOMENT` or before: an LSN, a time, an age"},
			&cli.StringFlag{Name: "until", Usage: "not what ended after `MOMENT`"},
			&cli.IntFlag{Name: "n", Usage: "at most `NUMBER`"},
			&cli.StringFlag{Name: "table", Aliases: []string{"t"}, Usage: "what changed `TABLE`, SCHEMA.TABLE or DATABASE.SCHEMA.TABLE"},
			&cli.StringFlag{Name: "xid", Usage: "the transaction `XID`"},
			&cli.StringFlag{Name: "grep", Usage: "those whose line matches a regular expression, `RE`"},
			&cli.BoolFlag{Name: "stat", Usage: "all tables of each, not only the first ones"},
			&cli.BoolFlag{Name: "all", Usage: "aborted transactions, too"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "the newest last, and go on with those that come"},
		},
		Action: withArgs(0, 1, e.runLog),
	}
}

// fewTables is how many tables a line of the log has without --stat.
const fewTables = 4

func (e *environ) runLog(c *cli.Context) error {
	asJSON, err := jsonWanted(c)
	if err != nil {
		return err
	}
	if c.Int("n") < 0 {
		return usagef("-n %d: want a number that is not negative", c.Int("n"))
	}
	o := api.LogOptions{Limit: c.Int("n"), Table: c.String("table"), All: c.Bool("all"), Follow: c.Bool("follow")}
	if o.XID, err = xidOf(c.String("xid")); err != nil {
		return err
	}
	grep, err := regexp.Compile(c.String("grep"))
	if err != nil {
		return usagef("--grep: %v", err)
	}
	few := fewTables
	if c.Bool("stat") {
		few = 0
	}
	if c.IsSet("grep") {
		o.Limit = 0
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		point, err := e.logPoint(ctx, s, c, &o)
		if err != nil {
			return err
		}
		w := newLogWriter(e.out, asJSON, few, o.Follow)
		n := 0
		err = s.Log(ctx, s.tenant, point, o, func(x api.Commit) error {
			if !grep.MatchString(logLine(x, 0)) {
				return nil
			}
			if n++; n == c.Int("n") && !o.Follow {
				return errors.Join(w.write(x), errEnough)
			}
			return w.write(x)
		})
		if errors.Is(err, errEnough) {
			err = nil
		}
		return errors.Join(err, w.close())
	})
}

// errEnough ends a log: there are as many as were asked for.
var errEnough = errors.New("enough")

func xidOf(s string) (uint32, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 {
		return 0, usagef("xid %q: want a number", s)
	}
	return uint32(n), nil
}

// logPoint gives the point up to which a log goes, and sets o.Since.
func (e *environ) logPoint(ctx context.Context, s *session, c *cli.Context, o *api.LogOptions) (string, error) {
	point := c.Args().First()
	if point == "" {
		point = api.MainBranch
	}
	point, err := e.point(ctx, s, point)
	if err != nil {
		return "", err
	}
	name, _, moved := api.SplitPoint(point)
	if until := c.String("until"); until != "" {
		if moved {
			return "", usagef("--until %s: %s says that already", until, point)
		}
		if point, err = e.point(ctx, s, name+"@"+until); err != nil {
			return "", err
		}
	}
	if since := c.String("since"); since != "" {
		o.Since, err = e.point(ctx, s, name+"@"+since)
	}
	return point, err
}

// logWriter prints commits.
type logWriter struct {
	few    int
	asJSON bool
	out    io.Writer
	table  *tabwriter.Writer // nil: each line is shown at once
}

// logHeading are the columns of a log; logLayout has their widths where lines are shown one by one.
const (
	logHeading = "LSN\tTIME (UTC)\tXID\tWAL\tTABLES\n"
	logLayout  = "%-12s %-23s %-10s %-9s %s\n"
)

func newLogWriter(out io.Writer, asJSON bool, few int, follow bool) *logWriter {
	w := &logWriter{few: few, asJSON: asJSON, out: out}
	if !asJSON && !follow {
		w.table = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprint(w.table, logHeading)
	}
	return w
}

func (w *logWriter) write(c api.Commit) error {
	if w.asJSON {
		return writeJSONLine(w.out, c)
	}
	cells := []string{c.LSN.String(), logTime(c.Time), strconv.FormatUint(uint64(c.XID), 10), logBytes(c.WALBytes), logLine(c, w.few)}
	if w.table == nil {
		_, err := fmt.Fprintf(w.out, logLayout, cells[0], cells[1], cells[2], cells[3], cells[4])
		return err
	}
	_, err := fmt.Fprintln(w.table, strings.Join(cells, "\t"))
	return err
}

func (w *logWriter) close() error {
	if w.table != nil {
		return w.table.Flush()
	}
	return nil
}

func logTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// logBytes shows bytes with a unit, as in "3.5 KiB".
func logBytes(n int64) string { return roundedSize(n, 10) }
