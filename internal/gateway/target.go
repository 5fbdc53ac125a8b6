package gateway

import (
	"cmp"
	"regexp"
	"strings"

	"zenith/internal/api"
	"zenith/internal/startup"
)

// target is what a client wants to be connected to.
type target struct {
	tenant   string // "": the gateway's default
	point    string
	database string // "": the one with which clients begin that know none
	name     string // as the client wrote it, for messages
}

// settingBranch is the setting, in the startup parameter options, that names a point: [TENANT/]POINT. The whole parameter
// database is the name of a database then.
const settingBranch = "zenith.branch"

var hex32 = regexp.MustCompile(`^[0-9a-f]{32}$`)

// targetOf reads what a client wants from its startup parameters: DB[@POINT], where the name in POINT may be left out, or
// options=-c zenith.branch=[TENANT/]POINT.
func targetOf(params map[string]string) target {
	t := target{name: cmp.Or(params["database"], params["user"])}
	option := startup.Option(params["options"], settingBranch)
	t.database = t.name
	if option == "" {
		t.database, option, _ = strings.Cut(t.name, "@")
	} else {
		t.name = option
	}
	if tenant, point, found := strings.Cut(option, "/"); found && hex32.MatchString(tenant) {
		t.tenant, option = tenant, point
	}
	t.point = cmp.Or(option, api.MainBranch)
	return t
}

// wantsNotices reports whether a client has not asked to be spared notices.
func wantsNotices(params map[string]string) bool {
	switch cmp.Or(params["client_min_messages"], startup.Option(params["options"], "client_min_messages")) {
	case "warning", "error", "fatal", "panic":
		return false
	}
	return true
}
