package pageserver

import (
	"context"
	"strings"
	"time"

	"zenith/internal/access"
	"zenith/internal/conninfo"
)

// audited reports whether a call of a verb is noted: it changes something, or gives out a tenant's data.
func (v *verb) audited(words []string) bool { return v.gives || v.least(words) >= access.Writer }

// audit notes what a client did, or tried: one line, whatever the level of the log. None of it is a secret: the
// arguments are in it whose kind says so in the table of placeholders.
func (c *conn) audit(v *verb, words []string, began time.Time, result string) {
	c.srv.opt.Log.Log(context.Background(), access.LevelAudit, "audit",
		"command", v.name, "args", v.publicArgs(words), "result", result, "elapsed", time.Since(began).Round(time.Millisecond).String(),
		"role", c.who.Role.String(), "user", c.who.Name, "uid", c.who.UID, "address", c.address, "pid", int(c.id))
}

// resultText says in an audit line how a call ended.
func resultText(err error) string {
	if err == nil {
		return "ok"
	}
	return sqlState(err)
}

// publicArgs gives a call's arguments for the log: without those that are secret, or may have secrets in them.
func (v *verb) publicArgs(words []string) string {
	if v.args == nil {
		return ""
	}
	var public []string
	for i, f := range v.args.fields {
		if i >= len(words) {
			break
		}
		switch p, known := placeholders[f.name]; {
		case f.rest:
			return strings.Join(append(public, settingNames(words[i:])...), " ")
		case f.name == "CONNINFO":
			public = append(public, publicConninfo(words[i]))
		case known && p.secret:
			public = append(public, "*")
		default:
			public = append(public, words[i])
		}
	}
	text := strings.Join(public, " ")
	return text[:min(len(text), maxAuditArgs)]
}

// maxAuditArgs is how much of the arguments is noted, in bytes.
const maxAuditArgs = 1000

// settingNames gives settings without their values: NAME=... becomes NAME.
func settingNames(words []string) (names []string) {
	for _, w := range words {
		name, _, _ := strings.Cut(w, "=")
		names = append(names, name)
	}
	return names
}

// publicConninfo gives a connection string without its password, "*" if it cannot be understood.
func publicConninfo(s string) string {
	info, err := Conninfo(s)
	if err == nil && isConninfo(s) {
		info, err = conninfo.Parse(s)
	}
	if err != nil {
		return "*"
	}
	return info.Public()
}
