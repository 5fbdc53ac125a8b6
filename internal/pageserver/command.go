package pageserver

import (
	"context"
	"maps"
	"slices"
	"strings"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// command is one row of the SQL surface.
type command struct {
	name     string
	usage    string // its arguments, for messages: the count of words in it is not checked
	min, max int    // number of arguments; max < 0: any
	cols     []column
	tag      string // command tag; default: the name in upper case
	reads    bool   // the handler reads from the client itself (CopyBoth)
	run      func(ctx context.Context, c *call) error
}

// call is one execution of a command.
type call struct {
	*conn
	args  []string
	reply *reply
}

// commands has every command by its name in lower case.
var commands = commandTable(
	sessionCommands, systemCommands, tenantCommands, branchCommands, mountCommands,
	computeCommands, historyCommands, streamCommands, receiverCommands, pushCommands,
)

func commandTable(tables ...[]command) map[string]*command {
	all := map[string]*command{}
	for _, table := range tables {
		for i := range table {
			all[table[i].name] = &table[i]
		}
	}
	return all
}

// CommandNames gives the names of the SQL surface, sorted.
func CommandNames() []string { return slices.Sorted(maps.Keys(commands)) }

// findCommand gives the command that a statement names and checks the number of its arguments.
func findCommand(st statement) (*command, error) {
	name := st[0].text
	cmd, found := commands[strings.ToLower(name)]
	if !found {
		return nil, api.Errorf(api.ErrSyntax, "unknown command %q", api.Clip(name))
	}
	if n := len(st) - 1; n < cmd.min || (cmd.max >= 0 && n > cmd.max) {
		return nil, api.Errorf(api.ErrSyntax, "%s: %d arguments; usage: %s", cmd.name, n, strings.TrimSpace(cmd.name+" "+cmd.usage))
	}
	return cmd, nil
}

// completion gives the command tag.
func (cmd *command) completion() string {
	if cmd.tag != "" {
		return cmd.tag
	}
	return strings.ToUpper(cmd.name)
}

// svc gives the service.
func (c *call) svc() api.Service { return c.srv.svc }

// arg gives argument i, "" if it was left out.
func (c *call) arg(i int) string {
	if i < len(c.args) {
		return c.args[i]
	}
	return ""
}

// lsnArg gives argument i as an LSN, 0 if it was left out.
func (c *call) lsnArg(i int) (pg.LSN, error) {
	if i >= len(c.args) {
		return 0, nil
	}
	lsn, err := pg.ParseLSN(c.args[i])
	if err != nil {
		return 0, &api.Error{Kind: api.ErrBadArgument, Msg: err.Error()}
	}
	return lsn, nil
}

// keyword checks an optional last argument that can only be one word.
func (c *call) keyword(i int, word string) (bool, error) {
	switch {
	case i >= len(c.args):
		return false, nil
	case strings.EqualFold(c.args[i], word):
		return true, nil
	}
	return false, api.Errorf(api.ErrSyntax, "%q: want %q or nothing", api.Clip(c.args[i]), word)
}

// pointOf joins a branch and an optional LSN.
func pointOf(branch, lsn string) (string, error) {
	if lsn == "" {
		return branch, nil
	}
	if _, err := pg.ParseLSN(lsn); err != nil {
		return "", &api.Error{Kind: api.ErrBadArgument, Msg: err.Error()}
	}
	return branch + "@" + lsn, nil
}
