package pageserver

import (
	"context"
	"strconv"
	"strings"

	"zenith/internal/access"
	"zenith/internal/api"
)

// logVerbs are about what transactions did.
var logVerbs = group{"Commits", []aVerb{&logVerb}}

type logArgs struct {
	Tenant string  `arg:"TENANT"`
	Point  string  `arg:"POINT"`
	Filter logWant `arg:"FILTER,optional"`
}

type logRow struct {
	Commit api.Commit `json:"log"`
}

var logVerb = stream[logArgs, logRow]{
	verb: verb{name: "log", role: access.Reader, gives: true, long: true, help: "what transactions did to which tables, up to a point, the newest first: a commit object for each; with follow the newest last, and those that come"},
	do: func(ctx context.Context, c *call, a logArgs, send func(logRow) error) error {
		return c.svc.Log(ctx, a.Tenant, a.Point, api.LogOptions(a.Filter), func(x api.Commit) error { return send(logRow{x}) })
	},
}

// Log is api.Service's.
func (c *Client) Log(ctx context.Context, tenant, point string, o api.LogOptions, send func(api.Commit) error) error {
	return logVerb.call(ctx, c, nil, logArgs{tenant, point, logWant(o)}, func(r logRow) error { return send(r.Commit) })
}

// logWant is LogOptions as words: since=POINT, limit=N, table=NAME, xid=N, what=WHAT, rows=N, all, follow.
type logWant api.LogOptions

// logWords are the words with a value.
var logWords = map[string]func(o *logWant, value string) error{
	"since": func(o *logWant, v string) error { o.Since = v; return nil },
	"table": func(o *logWant, v string) error { o.Table = v; return nil },
	"what":  func(o *logWant, v string) error { o.What = v; return nil },
	"limit": func(o *logWant, v string) (err error) { o.Limit, err = strconv.Atoi(v); return err },
	"rows":  func(o *logWant, v string) (err error) { o.Rows, err = strconv.ParseInt(v, 10, 64); return err },
	"xid": func(o *logWant, v string) error {
		n, err := strconv.ParseUint(v, 10, 32)
		o.XID = uint32(n)
		return err
	},
}

func (o *logWant) setWords(words []string) error {
	for _, w := range words {
		name, value, found := strings.Cut(w, "=")
		set := logWords[name]
		switch {
		case w == "all":
			o.All = true
		case w == "follow":
			o.Follow = true
		case !found || set == nil:
			return api.Errorf(api.ErrBadArgument, "filter %q: want since=POINT, table=NAME, what=WHAT, limit=N, rows=N, xid=N, all or follow", api.Clip(w))
		default:
			if err := set(o, value); err != nil {
				return api.Errorf(api.ErrBadArgument, "filter %q: want a number", api.Clip(w))
			}
		}
	}
	return nil
}

func (o *logWant) words() (words []string) {
	add := func(name, value string) {
		if value != "" && value != "0" {
			words = append(words, name+"="+value)
		}
	}
	add("since", o.Since)
	add("table", o.Table)
	add("what", o.What)
	add("limit", strconv.Itoa(o.Limit))
	add("rows", strconv.FormatInt(o.Rows, 10))
	add("xid", strconv.FormatUint(uint64(o.XID), 10))
	if o.All {
		words = append(words, "all")
	}
	if o.Follow {
		words = append(words, "follow")
	}
	return words
}
