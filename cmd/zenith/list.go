package main

import (
	"context"
	"encoding/json"
	"errors"
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

// column is what a list says of each thing of type T: a heading in capitals over the texts, or a
// key of a JSON object.
type column[T any] struct {
	name   string
	text   func(T) string   // "" is null in JSON
	hidden bool             // not in the table
	number func(T) *int64   // in place of text: a number in JSON, nil is null; it is hidden
	list   func(T) []string // in place of text in JSON: an array
}

// list runs a command that lists things. within connects to the page server, and get gets them.
func list[T any](e *environ, c *cli.Context, within func(*cli.Context, func(context.Context, *session) error) error,
	get func(context.Context, *session) ([]T, error), cols []column[T]) error {
	asJSON, err := jsonWanted(c)
	if err != nil {
		return err
	}
	return within(c, func(ctx context.Context, s *session) error {
		things, err := get(ctx, s)
		if err != nil {
			return err
		}
		return writeList(e.out, asJSON, things, cols)
	})
}

// show runs a command that lists things of a tenant: a table by cols, or the things as they are in JSON.
func show[T any](e *environ, c *cli.Context, get func(context.Context, *session) ([]T, error), cols []column[T]) error {
	asJSON, err := jsonWanted(c)
	if err != nil {
		return err
	}
	return e.withTenant(c, func(ctx context.Context, s *session) error {
		things, err := get(ctx, s)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(e.out, append([]T{}, things...)) // no things are an empty list, not null
		}
		return writeList(e.out, false, things, cols)
	})
}

// writeList prints things: a table with a heading, or an array of objects.
func writeList[T any](w io.Writer, asJSON bool, things []T, cols []column[T]) error {
	if asJSON {
		return writeJSON(w, objects(things, cols))
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(text func(column[T]) string) error {
		var shown []string
		for _, col := range cols {
			if !col.hidden && col.number == nil {
				shown = append(shown, text(col))
			}
		}
		_, err := fmt.Fprintln(tw, strings.Join(shown, "\t"))
		return err
	}
	err := line(func(col column[T]) string { return strings.ToUpper(col.name) })
	for _, thing := range things {
		err = errors.Join(err, line(func(col column[T]) string { return col.text(thing) }))
	}
	return errors.Join(err, tw.Flush())
}

// objects gives an object for each thing, as encoding/json takes it.
func objects[T any](things []T, cols []column[T]) []map[string]any {
	all := make([]map[string]any, len(things))
	for i, thing := range things {
		all[i] = map[string]any{}
		for _, col := range cols {
			all[i][col.name] = col.value(thing)
		}
	}
	return all
}

// value is what the column says of a thing, as encoding/json takes it.
func (col column[T]) value(thing T) any {
	if col.number != nil {
		return col.number(thing)
	}
	if col.list != nil {
		return col.list(thing)
	}
	if text := col.text(thing); text != "" {
		return text
	}
	return nil
}

// writeJSONLine prints v as one line of JSON: of streams, which are not held in memory.
func writeJSONLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// writeJSON prints v as indented JSON.
func writeJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}
