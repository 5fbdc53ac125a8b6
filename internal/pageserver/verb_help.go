package pageserver

import (
	"context"
	"maps"
	"slices"
	"strings"

	"zenith/internal/access"
	"zenith/internal/api"
)

type helpArgs struct {
	Command string `arg:"COMMAND,optional"`
}

// helpRow is one thing and what it means. A command is written with its arguments.
type helpRow struct {
	What    string `json:"what"`
	Meaning string `json:"meaning"`
}

// helpVerb tells a client what there is to say, from the same table as docs/sql.md. It gets the table from
// the call: helpVerb is in the table itself, and so its initial value may not name it.
var helpVerb = list[helpArgs, helpRow]{
	verb: verb{name: "help", role: access.Guest, help: "all commands with their arguments; or one command, each of its arguments, and its reply"},
	do: func(_ context.Context, c *call, a helpArgs) ([]helpRow, error) {
		if a.Command == "" {
			return helpOnAll(c.verbs), nil
		}
		v, found := c.verbs[strings.ToLower(a.Command)]
		if !found {
			return nil, api.Errorf(api.ErrNotFound, "no command %q", api.Clip(a.Command))
		}
		return helpOn(v), nil
	},
}

// helpOnAll gives a row for each verb, in the order of names.
func helpOnAll(verbs map[string]*verb) (rows []helpRow) {
	for _, name := range slices.Sorted(maps.Keys(verbs)) {
		rows = append(rows, helpRow{verbs[name].usage(), verbs[name].help})
	}
	return rows
}

// helpOn gives rows for a verb, for those of its arguments that are placeholders, and for its reply.
func helpOn(v *verb) []helpRow {
	rows := []helpRow{{v.usage(), v.help}}
	for _, f := range v.args.fields {
		if p, known := placeholders[f.name]; known {
			rows = append(rows, helpRow{f.name, p.help})
		}
	}
	reply := v.reply
	if v.row != nil {
		reply += ": " + strings.Join(columnTexts(v.row, true), ", ")
	}
	return append(rows, helpRow{"reply", reply})
}

// columnTexts gives the columns' names, with their types where they are not text.
func columnTexts(s *rowShape, types bool) (texts []string) {
	names := map[typeOID]string{typeBytea: "bytea", typeInt4: "int4", typeInt8: "int8", typeTimestampTZ: "timestamptz"}
	for _, c := range s.cols {
		text := c.name
		if name := names[c.typ]; types && name != "" {
			text += " " + name
		}
		texts = append(texts, text)
	}
	return texts
}
