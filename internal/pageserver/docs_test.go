package pageserver

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"zenith/internal/access"
	"zenith/internal/api"
)

var update = flag.Bool("update", false, "write docs/sql.md anew")

const sqlDoc = "../../docs/sql.md"

// TestSQLDoc: docs/sql.md says what the table of verbs does.
func TestSQLDoc(t *testing.T) {
	want := sqlText()
	if *update {
		if err := os.WriteFile(sqlDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(sqlDoc)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/sql.md is not what the table of verbs says: go test ./internal/pageserver -run TestSQLDoc -update")
	}
}

// TestEveryArgumentIsExplained: names in capitals are in the table, and the table has no others.
func TestEveryArgumentIsExplained(t *testing.T) {
	listed := 0
	for _, g := range surface {
		listed += len(g.verbs)
	}
	if listed != len(verbs) {
		t.Errorf("%d verbs have %d names", listed, len(verbs))
	}
	used := map[string]bool{}
	for _, v := range verbs {
		if v.help == "" {
			t.Errorf("%s has no help", v.name)
		}
		for _, f := range v.args.fields {
			used[f.name] = true
			if _, known := placeholders[f.name]; !known && !f.rest && f.name != strings.ToLower(f.name) {
				t.Errorf("%s: argument %s is not in the table of placeholders", v.name, f.name)
			}
		}
	}
	for name := range placeholders {
		if !used[name] {
			t.Errorf("no verb has an argument %s", name)
		}
	}
}

// sqlText makes docs/sql.md.
func sqlText() string {
	var b strings.Builder
	b.WriteString(`# The SQL surface

<!-- Written by a test from the table of verbs: go test ./internal/pageserver -run TestSQLDoc -update -->

Clients of PostgreSQL can talk to the page server, over the simple or the extended protocol, through the unix socket in its
work directory (its owner and root; others as far as ` + "`auth.accounts`" + ` says) and through its port, if it has one. Where the
directory's path is too long for a socket, ` + "`zenith status`" + ` says how psql reaches it:

` + "```" + `
psql -h /srv/zenith/.zenith -p 6400 -c 'branch_create 0123456789abcdef0123456789abcdef dev main@-15m'
` + "```" + `

A command is a word, in any case, and its arguments, with blanks between them. An argument in single or double quotes
may have blanks and semicolons in it; a quote in it is written twice. What is in brackets may be left out. In the extended
protocol an argument may be a parameter, ` + "`$1`" + `. The command ` + "`help branch_create`" + ` says what is said here about one
command, and ` + "`help`" + ` lists all (with psql use ` + "`-c help`" + `: at its prompt, a bare help is about psql).

Commands that take long tell how far they are in notices, if ` + "`SET zenith.progress = on`" + ` came before: SQLSTATE
` + "`" + progressState + "`, message `DONE TOTAL WHAT`" + `, TOTAL 0 where it is not known.

## Roles

A client has a role for one tenant, or for all: reader, writer or admin, each of which may do what the ones before it may. The
owner of the work directory and root may do everything. *guest*: any client that was let in. *of all*: the role must be for
all tenants; without it, for the one that is named, and lists show what the client may read. *here*: only for accounts of the page
server's machine, through its socket. A star: some arguments take more. A reader mounts points with an ` + "`@`" + `, read-only; a
writer starts postgres without channels, and with settings that name no file, program, library or server.
What a client may not do in a tenant of its own is refused (` + "`42501`" + `). Of any other tenant it is told that there is no such
tenant, whether there is one or not.

## Arguments

| argument | meaning |
|---|---|
`)
	for _, name := range slices.Sorted(maps.Keys(placeholders)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", cell(name), cell(placeholders[name].help))
	}
	for _, g := range surface {
		fmt.Fprintf(&b, "\n## %s\n\n| command | role | what it does | reply |\n|---|---|---|---|\n", g.title)
		for _, one := range g.verbs {
			v := verbs[one.ready().name]
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", cell(v.usage()), roleMarkdown(v), cell(v.help), replyMarkdown(v))
		}
	}
	fmt.Fprintf(&b, "\n## A branch object\n\nJSON with LSNs as text; what is absent is null: `%s`.\n", strings.Join(columnTexts(rowOf[api.Branch](), false), "`, `"))
	b.WriteString(`
## Page requests

After ` + "`pagestream`" + ` each CopyData message is a request of 26 bytes, integers big endian: tag u8 (0: does the relation exist, 1: how
many blocks has it, 2: a block), tablespace u32, database u32, relation u32, fork u8, block u32, LSN u64 (0: the newest state).
The reply, another CopyData, has: tag u8 (the request's plus 100), exists u8, number of blocks u32, and for a block its 8192
bytes. A request that fails is answered by tag 103 and a text; the stream goes on.

## Replication

On a connection with ` + "`replication=true`" + ` and ` + "`dbname=TENANT/BRANCH`" + ` the commands of PostgreSQL's streaming replication are
understood as well, as in its documentation, for readers: `)
	for i, c := range replCommands {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("`" + c.name + "`")
	}
	b.WriteString(". Slots that outlive the connection take a writer.\n\n## Errors\n\nAn error leaves the connection usable, except one of the protocol.\n\n| SQLSTATE | meaning |\n|---|---|\n")
	said := map[string]bool{}
	for _, k := range kinds {
		if !said[k.state] {
			fmt.Fprintf(&b, "| `%s` | %v |\n", k.state, k.err)
		}
		said[k.state] = true
	}
	fmt.Fprintf(&b, "| `%s` | anything else: a fault of the page server or of its machine |\n", internalError)
	return b.String()
}

// roleMarkdown says who may do a verb.
func roleMarkdown(v *verb) string {
	text := v.role.String()
	if _, named := v.tenants(nil); !named && !v.each && v.role != access.Guest {
		text += " of all"
	}
	if v.raise != nil {
		text += "*"
	}
	if v.local {
		text += ", here"
	}
	return text
}

// replyMarkdown says what a verb answers with, its columns in the type of code.
func replyMarkdown(v *verb) string {
	if v.row == nil {
		return v.reply
	}
	return v.reply + ": `" + strings.Join(columnTexts(v.row, true), "`, `") + "`"
}

// cell makes text fit into a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
