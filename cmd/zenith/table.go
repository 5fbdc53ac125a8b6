package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

// The output formats of commands that list.
const (
	outTable = "table"
	outJSON  = "json"
)

// outputFlag makes the flag -o, --output of commands that list.
func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: outTable, Usage: "`FORMAT`: table or json"}
}

// jsonWanted reports whether -o asks for JSON.
func jsonWanted(c *cli.Context) (bool, error) {
	switch o := c.String("output"); o {
	case outTable:
		return false, nil
	case outJSON:
		return true, nil
	default:
		return false, usagef("--output %q: want %s or %s", o, outTable, outJSON)
	}
}

// field is a column of a list. A hidden one is in the JSON, and not in the table.
type field struct {
	name   string
	hidden bool
}

// list is what a command prints as a table or as JSON.
type list struct {
	fields []field
	rows   [][]string
}

// write prints the list: a table with a heading, or an array of objects.
func (l *list) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return l.writeJSON(w)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	heading := make([]string, len(l.fields))
	for i, f := range l.fields {
		heading[i] = strings.ToUpper(f.name)
	}
	for _, row := range append([][]string{heading}, l.rows...) {
		var shown []string
		for i, f := range l.fields {
			if !f.hidden {
				shown = append(shown, row[i])
			}
		}
		if _, err := fmt.Fprintln(tw, strings.Join(shown, "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

func (l *list) writeJSON(w io.Writer) error {
	objects := make([]map[string]any, len(l.rows))
	for r, row := range l.rows {
		objects[r] = map[string]any{}
		for i, f := range l.fields {
			objects[r][f.name] = row[i]
			if row[i] == "" {
				objects[r][f.name] = nil
			}
		}
	}
	return writeJSON(w, objects)
}

// writeJSON prints v as indented JSON.
func writeJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}
