package pageserver

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"zenith/internal/access"
	"zenith/internal/api"
)

// verb is a command of the SQL surface, and all that is known of it. Each is of one of the types
// below, by what it answers with: plain, one, list, stream or file. Its type parameters are two
// structs: A is its arguments (argument.go), R its columns (row.go). The server, docs/sql.md and
// the client, whose method stands beside the verb, follow from that.
//
// A new verb is a variable in the file of its noun (verb_branch.go and so on), a name in the
// group there, a method of Client, and one of api.Service if the handler needs it.
type verb struct {
	name  string
	role  access.Role // the least role that may do it, for the tenant that it names; else for all tenants
	help  string      // one line: what it does
	tag   string      // command tag; default: the name in upper case
	reply string      // one of the reply constants; default: what its type says
	reads bool        // the handler reads from the client itself: CopyIn, CopyBoth

	// raise gives a higher role for calls with some arguments; nil: role is for all.
	raise func(words []string) access.Role
	local bool // only for accounts of this machine, which come through the unix socket
	each  bool // it names no tenant, and gives each client what is of the tenants that it may read
	gives bool // it changes nothing, and gives out data of a tenant
	long  bool // it reads much, though it gives little: it counts as a stream

	// What follows is set by ready.

	args *argShape
	row  *rowShape // nil: no columns
	run  func(ctx context.Context, c *call) error
}

// What a verb answers with.
const (
	replyNothing = "nothing"
	replyRow     = "one row"
	replyRows    = "rows"
	replyFile    = "CopyOut"
	replyTaken   = "CopyIn"
	replyBoth    = "CopyBoth"
)

// aVerb is a verb of any kind.
type aVerb interface {
	// ready gives the verb with the fields that follow from its types.
	ready() *verb
}

// completion gives the command tag.
func (v *verb) completion() string {
	if v.tag != "" {
		return v.tag
	}
	return strings.ToUpper(v.name)
}

// streams reports whether a call counts as one of a client's streams (Limits).
func (v *verb) streams() bool {
	return v.long || v.reads || v.reply == replyFile
}

// usage gives the command with its arguments, as a user reads it.
func (v *verb) usage() string { return strings.TrimSpace(v.name + " " + v.args.usage()) }

// query gives the command as a client sends it; args is of the verb's A.
func (v *verb) query(args any) (string, error) {
	words, err := v.args.words(args)
	if err != nil {
		return "", fmt.Errorf("%s: %w", v.name, err)
	}
	return joinWords(v.name, words...), nil
}

// parseArgs reads the words of a call.
func parseArgs[A any](v *verb, c *call) (a A, err error) {
	err = v.args.parse(c.args, &a)
	return a, err
}

// columns gives the columns of the reply.
func (v *verb) columns() []column {
	if v.row == nil {
		return nil
	}
	return v.row.cols
}

// plain answers with no rows.
type plain[A any] struct {
	verb
	do func(ctx context.Context, c *call, a A) error
}

func (v *plain[A]) ready() *verb {
	v.args, v.reply = argsOf[A](), cmp.Or(v.reply, replyNothing)
	v.run = func(ctx context.Context, c *call) error {
		a, err := parseArgs[A](&v.verb, c)
		if err != nil {
			return err
		}
		return v.do(ctx, c, a)
	}
	return &v.verb
}

// call has the server do it.
func (v *plain[A]) call(ctx context.Context, c *Client, p api.Progress, a A) error {
	return c.command(ctx, p, answer{}, &v.verb, a)
}

// stream answers with rows, one after the other.
type stream[A, R any] struct {
	verb
	do func(ctx context.Context, c *call, a A, send func(R) error) error
}

func (v *stream[A, R]) ready() *verb {
	v.args, v.row, v.reply = argsOf[A](), rowOf[R](), replyRows
	v.run = func(ctx context.Context, c *call) error {
		a, err := parseArgs[A](&v.verb, c)
		if err != nil {
			return err
		}
		return v.do(ctx, c, a, func(r R) error { return c.reply.send(v.row, r) })
	}
	return &v.verb
}

// call has the server do it and gives each row to got.
func (v *stream[A, R]) call(ctx context.Context, c *Client, p api.Progress, a A, got func(R) error) error {
	return c.command(ctx, p, answer{rows: &rowsOf[R]{shape: v.row, got: got}}, &v.verb, a)
}

// list answers with any number of rows.
type list[A, R any] struct {
	verb
	do func(ctx context.Context, c *call, a A) ([]R, error)
}

func (v *list[A, R]) ready() *verb {
	s := &stream[A, R]{do: func(ctx context.Context, c *call, a A, send func(R) error) error {
		rows, err := v.do(ctx, c, a)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := send(r); err != nil {
				return err
			}
		}
		return nil
	}}
	s.ready()
	v.args, v.row, v.reply, v.run = s.args, s.row, replyRows, s.run
	return &v.verb
}

// call has the server do it and gives the rows.
func (v *list[A, R]) call(ctx context.Context, c *Client, a A) (rows []R, err error) {
	got := func(r R) error {
		rows = append(rows, r)
		return nil
	}
	err = c.command(ctx, nil, answer{rows: &rowsOf[R]{shape: v.row, got: got}}, &v.verb, a)
	return rows, err
}

// one answers with one row.
type one[A, R any] struct {
	verb
	do func(ctx context.Context, c *call, a A) (R, error)
}

func (v *one[A, R]) ready() *verb {
	l := &list[A, R]{do: func(ctx context.Context, c *call, a A) ([]R, error) {
		r, err := v.do(ctx, c, a)
		return []R{r}, err
	}}
	l.ready()
	v.args, v.row, v.reply, v.run = l.args, l.row, replyRow, l.run
	return &v.verb
}

// call has the server do it and gives the row.
func (v *one[A, R]) call(ctx context.Context, c *Client, p api.Progress, a A) (row R, err error) {
	n := 0
	got := func(r R) error {
		row = r
		n++
		return nil
	}
	err = c.command(ctx, p, answer{rows: &rowsOf[R]{shape: v.row, got: got}}, &v.verb, a)
	if err == nil && n != 1 {
		err = api.Errorf(api.ErrProtocol, "%s: %d rows, want one", v.name, n)
	}
	return row, err
}

// file answers with a stream of bytes, a CopyOut.
type file[A any] struct {
	verb
	do func(ctx context.Context, c *call, a A, w io.Writer) error
}

func (v *file[A]) ready() *verb {
	v.args, v.tag, v.reply = argsOf[A](), copyTag, replyFile
	v.run = func(ctx context.Context, c *call) error {
		a, err := parseArgs[A](&v.verb, c)
		if err != nil {
			return err
		}
		if err := v.do(ctx, c, a, c.reply.copyOut()); err != nil {
			return err
		}
		return c.reply.beginCopyOut() // an empty stream is a stream
	}
	return &v.verb
}

// call has the server do it and writes the bytes to w. note, which may be nil, gets what is for the user to read.
func (v *file[A]) call(ctx context.Context, c *Client, p api.Progress, a A, note func(string), w io.Writer) error {
	return c.command(ctx, p, answer{copy: w, note: note}, &v.verb, a)
}

// copyTag is the command tag of what answers with a stream of bytes.
const copyTag = "COPY"
