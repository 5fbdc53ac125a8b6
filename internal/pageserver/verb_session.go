package pageserver

import (
	"context"
	"strconv"
	"strings"

	"zenith/internal/access"
	"zenith/internal/api"
	"zenith/internal/pg"
)

// sessionVerbs are about the connection itself. Most are there because drivers send them.
var sessionVerbs = group{"The connection", []aVerb{&helpVerb, &setVerb, &showVerb, &resetVerb, &discardVerb, &beginVerb, &startVerb, &commitVerb, &endVerb, &rollbackVerb}}

type anyWords struct {
	Words []string `arg:"...,optional"`
}

type settingArgs struct {
	Words []string `arg:"NAME"` // a name may be several: TRANSACTION ISOLATION LEVEL
}

type setArgs struct {
	Words []string `arg:"NAME = VALUE"`
}

// setVerb accepts any setting, as drivers send several.
var setVerb = plain[setArgs]{
	verb: verb{name: "set", role: access.Guest, tag: "SET", help: "accepts any setting; `zenith.progress = on` asks for progress as notices"},
	do: func(_ context.Context, c *call, a setArgs) error {
		assignment := strings.ToLower(strings.Join(a.Words, " "))
		name, value, _ := strings.Cut(strings.Replace(assignment, " to ", "=", 1), "=")
		if strings.TrimSpace(name) == settingProgress {
			c.progress = isTrue(strings.TrimSpace(value))
		}
		return nil
	},
}

// settingProgress is the one setting that means something here.
const settingProgress = "zenith.progress"

type showRow struct {
	Setting string `json:"setting"`
}

var showVerb = one[settingArgs, showRow]{
	verb: verb{name: "show", role: access.Guest, help: "a setting that clients ask for"},
	do: func(_ context.Context, c *call, a settingArgs) (showRow, error) {
		value, err := settingValue(c.version, strings.Join(a.Words, " "))
		return showRow{value}, err
	},
}

// shown are settings that clients ask for and that are no startup parameters.
var shown = map[string]string{
	"data_directory_mode":           "0700",
	"transaction_read_only":         "off",
	"transaction isolation level":   "read committed",
	"transaction_isolation":         "read committed",
	"default_transaction_isolation": "read committed",
	"ssl":                           "off",
	"search_path":                   "",
}

// settingValue gives the value of a setting, whose name may be in any case, of a server of
// PostgreSQL v.
func settingValue(v *pg.Version, name string) (string, error) {
	name = strings.ToLower(name)
	if name == "server_version_num" {
		return strconv.Itoa(v.Major * 10000), nil
	}
	if value, found := shown[name]; found {
		return value, nil
	}
	for _, p := range append([][2]string{versionParameter(v)}, parameters...) {
		if strings.EqualFold(p[0], name) {
			return p[1], nil
		}
	}
	return "", api.Errorf(api.ErrNotFound, "unrecognized configuration parameter %q", api.Clip(name))
}

var resetVerb = plain[settingArgs]{
	verb: verb{name: "reset", role: access.Guest, tag: "RESET", help: "does nothing"},
	do:   func(context.Context, *call, settingArgs) error { return nil },
}

type discardArgs struct {
	All string `arg:"ALL"`
}

var discardVerb = plain[discardArgs]{
	verb: verb{name: "discard", role: access.Guest, tag: "DISCARD ALL", help: "does nothing"},
	do:   func(context.Context, *call, discardArgs) error { return nil },
}

// Transactions are a pretence: verbs are atomic one by one, and drivers like to bracket them.
var (
	beginVerb    = plain[anyWords]{verb: verb{name: "begin", role: access.Guest, tag: "BEGIN", help: "begins what looks like a transaction"}, do: beginTransaction}
	startVerb    = plain[startArgs]{verb: verb{name: "start", role: access.Guest, tag: "START TRANSACTION", help: "begin"}, do: startTransaction}
	commitVerb   = plain[anyWords]{verb: verb{name: "commit", role: access.Guest, tag: "COMMIT", help: "ends it; nothing was pending"}, do: endTransaction}
	endVerb      = plain[anyWords]{verb: verb{name: "end", role: access.Guest, tag: "COMMIT", help: "commit"}, do: endTransaction}
	rollbackVerb = plain[anyWords]{verb: verb{name: "rollback", role: access.Guest, tag: "ROLLBACK", help: "ends it; nothing is undone"}, do: endTransaction}
)

type startArgs struct {
	Words []string `arg:"TRANSACTION"`
}

func beginTransaction(_ context.Context, c *call, _ anyWords) error {
	c.txStatus = 'T'
	return nil
}

func startTransaction(ctx context.Context, c *call, _ startArgs) error {
	return beginTransaction(ctx, c, anyWords{})
}

func endTransaction(_ context.Context, c *call, _ anyWords) error {
	c.txStatus = 'I'
	return nil
}
