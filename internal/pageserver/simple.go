package pageserver

import (
	"github.com/jackc/pgproto3/v2"
)

// simpleQuery answers a Query message: its statements one after the other, up to the
// first that fails.
func (c *conn) simpleQuery(query string) error {
	if c.replication && c.srv.opt.Replication != nil {
		if ours, err := c.replicationQuery(query); ours {
			return err
		}
	}
	statements, err := parseStatements(query)
	if err == nil && len(statements) == 0 {
		if err := c.send(&pgproto3.EmptyQueryResponse{}); err != nil {
			return err
		}
		return c.ready()
	}
	for _, st := range statements {
		if err = c.simpleStatement(st); err != nil {
			break
		}
	}
	if c.broken != nil {
		return c.broken
	}
	if err != nil {
		// A connection that is gone says so again here: its writer keeps its first error.
		if err := c.sendError("ERROR", err); err != nil {
			return err
		}
	}
	return c.ready()
}

func (c *conn) simpleStatement(st statement) error {
	cmd, err := findVerb(st)
	if err != nil {
		return err
	}
	args, err := st.args(nil)
	if err != nil {
		return err
	}
	r := &reply{c: c, cols: cmd.columns()}
	if err := c.run(cmd, args[1:], r); err != nil {
		return err
	}
	return r.finish(cmd.completion())
}
