package pageserver

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// fields reads the columns of a row one after the other and keeps the first error.
type fields struct {
	values [][]byte
	err    error
}

func (f *fields) next() []byte {
	if len(f.values) == 0 {
		f.fail("row has too few columns")
		return nil
	}
	v := f.values[0]
	f.values = f.values[1:]
	return v
}

func (f *fields) fail(why string) {
	if f.err == nil {
		f.err = &api.Error{Kind: api.ErrProtocol, Msg: why}
	}
}

func (f *fields) text() string { return string(f.next()) }

func (f *fields) int() int64 {
	v := f.next()
	if v == nil {
		return 0
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		f.fail("column is no number: " + api.Clip(string(v)))
	}
	return n
}

func (f *fields) lsn() pg.LSN {
	v := f.next()
	if v == nil {
		return 0
	}
	lsn, err := pg.ParseLSN(string(v))
	if err != nil {
		f.fail(err.Error())
	}
	return lsn
}

func (f *fields) time() time.Time {
	v := f.text()
	t, err := time.Parse(timeLayout, v)
	if err != nil {
		f.fail("column is no time: " + api.Clip(v))
	}
	return t
}

func (f *fields) bytea() []byte {
	digits, found := strings.CutPrefix(f.text(), `\x`)
	b, err := hex.DecodeString(digits)
	if err != nil || !found {
		f.fail("column is no bytea")
	}
	return b
}

// rows runs a command and reads each of its rows.
func (c *Client) rows(ctx context.Context, p api.Progress, read func(f *fields), name string, args ...string) error {
	row := func(values [][]byte) error {
		f := &fields{values: values}
		read(f)
		return f.err
	}
	return c.command(ctx, p, answer{row: row}, name, args...)
}

// one runs a command that answers with one row.
func (c *Client) one(ctx context.Context, p api.Progress, read func(f *fields), name string, args ...string) error {
	n := 0
	counted := func(f *fields) {
		n++
		read(f)
	}
	err := c.rows(ctx, p, counted, name, args...)
	if err == nil && n != 1 {
		return api.Errorf(api.ErrProtocol, "%s: %d rows, want one", name, n)
	}
	return err
}

// oneJSON runs a command that answers with one row of JSON.
func (c *Client) oneJSON(ctx context.Context, into any, name string, args ...string) error {
	read := func(f *fields) {
		if err := json.Unmarshal(f.next(), into); err != nil {
			f.fail(name + ": " + err.Error())
		}
	}
	return c.one(ctx, nil, read, name, args...)
}
