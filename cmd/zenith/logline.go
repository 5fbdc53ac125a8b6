package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"zenith/internal/api"
)

// logLine says in one line what a commit did, with few tables at most for each kind of change; 0: all.
func logLine(c api.Commit, few int) string {
	var parts []string
	for _, d := range c.Databases {
		parts = append(parts, ddlWords[d.What]+" DATABASE "+d.Database)
	}
	var databases []string
	for _, t := range c.Tables {
		if !slices.Contains(databases, t.Database) {
			databases = append(databases, t.Database)
		}
	}
	for _, db := range databases {
		parts = append(parts, databaseLine(db, c.Tables, few))
	}
	line := strings.Join(parts, "; ")
	switch {
	case line == "" && c.Catalogs:
		line = "(catalogs)"
	case line == "" && c.Statistics:
		line = "(statistics)"
	}
	if c.Aborted {
		line = strings.TrimSuffix("aborted: "+line, ": ")
	}
	if c.Partial {
		line += " (began before the index of commits; may be more)"
	}
	return printableLine(line)
}

// printableLine puts a mark in place of what a terminal would not print but do: names of tables may be anything.
func printableLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// ddlWords say what became of a table as a statement that may have done it.
var ddlWords = map[string]string{
	"created": "CREATE", "dropped": "DROP", "truncated": "TRUNCATE", "rewritten": "rewrite of", "altered": "ALTER",
}

// ddlOrder is their order in a line.
var ddlOrder = []string{"created", "altered", "rewritten", "truncated", "dropped"}

// databaseLine says what was done to the tables of a database: "app.orders +1", or
// "app: CREATE TABLE orders, users; orders +200000".
func databaseLine(db string, tables []api.TableChange, few int) string {
	var ddl, rows []string
	for _, what := range ddlOrder {
		for _, kind := range kindsOf(db, what, tables) {
			var names []string
			for _, t := range tables {
				if t.Database == db && t.What == what && t.Kind == kind {
					names = append(names, tableName(t))
				}
			}
			ddl = append(ddl, ddlWords[what]+" "+strings.ToUpper(kind)+" "+strings.Join(fewOf(names, few), ", "))
		}
	}
	for _, t := range tables {
		if s := rowsLine(t); t.Database == db && s != "" {
			rows = append(rows, tableName(t)+s)
		}
	}
	if len(ddl) > 0 {
		if len(rows) > 0 {
			ddl = append(ddl, strings.Join(fewOf(rows, few), ", "))
		}
		return db + ": " + strings.Join(ddl, "; ")
	}
	rows = fewOf(rows, few)
	for i, r := range rows {
		if !strings.HasPrefix(r, "and ") {
			rows[i] = db + "." + r
		}
	}
	return strings.Join(rows, ", ")
}

// kindsOf lists the kinds of the relations of which that became, in the order in which they come first.
func kindsOf(db, what string, tables []api.TableChange) (kinds []string) {
	for _, t := range tables {
		if t.Database == db && t.What == what && !slices.Contains(kinds, t.Kind) {
			kinds = append(kinds, t.Kind)
		}
	}
	return kinds
}

// fewOf cuts a list short, and says by how much.
func fewOf(list []string, few int) []string {
	if few == 0 || len(list) <= few+1 {
		return list
	}
	return append(slices.Clone(list[:few]), fmt.Sprintf("and %d more", len(list)-few))
}

// tableName is a table's name, with its schema unless that is public.
func tableName(t api.TableChange) string {
	if t.Schema == "public" {
		return t.Table
	}
	return t.Schema + "." + t.Table
}

// rowsLine says how many rows of a table were inserted, updated and deleted: " +1 ~2 -3".
func rowsLine(t api.TableChange) (s string) {
	for _, n := range []struct {
		sign string
		n    int64
	}{{"+", t.Inserted}, {"~", t.Updated}, {"-", t.Deleted}} {
		if n.n > 0 {
			s += fmt.Sprintf(" %s%d", n.sign, n.n)
		}
	}
	if t.What == "advanced" {
		s += " advanced"
	}
	return s
}
