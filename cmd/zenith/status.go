package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
)

func cmdStatus(e *environ) *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "page server running or not, its address, tenants, branches, mounts, receivers",
		Flags: []cli.Flag{outputFlag()},
		Action: withArgs(0, 0, func(c *cli.Context) error {
			asJSON, err := jsonWanted(c)
			if err != nil {
				return err
			}
			return e.runStatus(c.Context, asJSON)
		}),
	}
}

// runStatus prints the status. A page server that is down is no error: the status says so.
func (e *environ) runStatus(ctx context.Context, asJSON bool) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	e.warnDamage(cfg.damage)
	where, err := e.whereabouts(cfg)
	if err != nil {
		return err
	}
	rows, err := e.askStatus(ctx, cfg)
	var down bool
	if down = errors.Is(err, api.ErrUnavailable); err != nil && !down {
		return err
	}
	head := append([]api.StatusRow{{Name: "page server", Value: "running"}}, where...)
	if down {
		head[0].Value = e.whyDown(err)
	} else if pid, running, err := probe(e.path(pidFileName)); err == nil && running {
		head = append(head, api.StatusRow{Name: "pid", Value: strconv.Itoa(pid)})
	}
	return e.printStatus(head, rows, asJSON)
}

// whereabouts says where the page server listens, or would if it ran: at a port, and at the socket of its work
// directory.
func (e *environ) whereabouts(cfg *cliConfig) ([]api.StatusRow, error) {
	reached, err := e.address(cfg)
	if err != nil || !e.local() {
		return []api.StatusRow{{Name: "address", Value: addressAlone(reached)}}, err
	}
	addr := reached
	if running, ok := e.readRunning(); ok {
		addr = running.addr
	} else if s, err := e.server(); err != nil {
		return nil, err
	} else if s.Listen != "" {
		addr = string(s.Listen)
	}
	rows := []api.StatusRow{{Name: "address", Value: addr}}
	if addr != reached {
		rows = append(rows, api.StatusRow{Name: "socket", Value: reached})
	}
	if hint := socketHint(reached); hint != "" {
		rows = append(rows, api.StatusRow{Name: "psql", Value: hint})
	}
	return rows, nil
}

func (e *environ) askStatus(ctx context.Context, cfg *cliConfig) ([]api.StatusRow, error) {
	client, err := e.dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Status(ctx)
}

// whyDown describes a page server that could not be reached: one that does not run, or one that runs and
// does not answer.
func (e *environ) whyDown(err error) string {
	pid, running, probeErr := probe(e.path(pidFileName))
	switch {
	case !e.local():
		return "not reachable: " + oneLine(err.Error())
	case probeErr == nil && running:
		return fmt.Sprintf("running, pid %d, and does not answer: %s", pid, oneLine(err.Error()))
	}
	return "not running"
}

// statusField is a row of the status as JSON has it: the value is a number where it counts something.
type statusField struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

func statusForJSON(rows []api.StatusRow) (fields []statusField) {
	for _, r := range rows {
		f := statusField{r.Name, r.Value}
		if n, ok := r.Count(); ok {
			f.Value = n
		}
		fields = append(fields, f)
	}
	return fields
}

// printStatus prints head, which this process knows, and then the page server's rows of other names.
func (e *environ) printStatus(head, rows []api.StatusRow, asJSON bool) error {
	known := map[string]bool{}
	for _, r := range head {
		known[r.Name] = true
	}
	for _, r := range rows {
		if !known[r.Name] {
			head = append(head, r)
		}
	}
	if asJSON {
		return writeJSON(e.out, statusForJSON(head))
	}
	tw := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	for _, r := range worstFirst(head) {
		fmt.Fprintf(tw, "%s:\t%s\n", r.Name, humanValue(r))
	}
	return tw.Flush()
}

// worstFirst puts what is wrong before everything else.
func worstFirst(rows []api.StatusRow) (sorted []api.StatusRow) {
	for _, wrong := range []bool{true, false} {
		for _, r := range rows {
			if (r.Name == api.ProblemRow) == wrong {
				sorted = append(sorted, r)
			}
		}
	}
	return sorted
}

// humanValue gives the value of a row as people read it: bytes in a unit that fits. The name still says what the number
// is of in JSON.
func humanValue(r api.StatusRow) string {
	if n, ok := r.Count(); ok && strings.HasSuffix(r.Name, "_bytes") {
		return api.SizeText(n)
	}
	return r.Value
}
