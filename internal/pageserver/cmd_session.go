package pageserver

import (
	"context"
	"strings"

	"zenith/internal/api"
)

// sessionCommands are about the connection itself.
var sessionCommands = []command{
	{name: "set", usage: "NAME = VALUE", min: 1, max: -1, tag: "SET", run: runSet},
	{name: "reset", usage: "NAME", min: 1, max: -1, tag: "RESET", run: runNothing},
	{name: "discard", usage: "ALL", min: 1, max: 1, tag: "DISCARD ALL", run: runNothing},
	{name: "show", usage: "NAME", min: 1, max: -1, cols: textColumns("setting"), run: runShow},
	{name: "begin", usage: "...", max: -1, tag: "BEGIN", run: runBegin},
	{name: "start", usage: "TRANSACTION", min: 1, max: -1, tag: "START TRANSACTION", run: runBegin},
	{name: "commit", max: -1, tag: "COMMIT", run: runEnd},
	{name: "end", max: -1, tag: "COMMIT", run: runEnd},
	{name: "rollback", max: -1, tag: "ROLLBACK", run: runEnd},
}

// settingProgress is the one setting that means something here.
const settingProgress = "zenith.progress"

// runSet accepts any setting, as drivers send several.
func runSet(_ context.Context, c *call) error {
	assignment := strings.ToLower(strings.Join(c.args, " "))
	name, value, _ := strings.Cut(strings.Replace(assignment, " to ", "=", 1), "=")
	if strings.TrimSpace(name) == settingProgress {
		c.progress = isTrue(strings.TrimSpace(value))
	}
	return nil
}

func runNothing(context.Context, *call) error { return nil }

// runBegin pretends: commands are atomic one by one, and drivers like to bracket them.
func runBegin(_ context.Context, c *call) error {
	c.txStatus = 'T'
	return nil
}

func runEnd(_ context.Context, c *call) error {
	c.txStatus = 'I'
	return nil
}

// shown are settings that clients ask for and that are no startup parameters.
var shown = map[string]string{
	"data_directory_mode":           "0700",
	"server_version_num":            "150000",
	"transaction_read_only":         "off",
	"transaction isolation level":   "read committed",
	"transaction_isolation":         "read committed",
	"default_transaction_isolation": "read committed",
	"ssl":                           "off",
	"search_path":                   "",
}

func runShow(_ context.Context, c *call) error {
	name := strings.ToLower(strings.Join(c.args, " "))
	if value, found := shown[name]; found {
		return c.reply.row(value)
	}
	for _, p := range parameters {
		if strings.EqualFold(p[0], name) {
			return c.reply.row(p[1])
		}
	}
	return api.Errorf(api.ErrNotFound, "unrecognized configuration parameter %q", api.Clip(name))
}
