package pageserver

import (
	"fmt"
	"strings"

	"zenith/internal/access"
	"zenith/internal/api"
)

// group is the verbs of one noun.
type group struct {
	title string // of a chapter in docs/sql.md
	verbs []aVerb
}

// surface is the table of all verbs.
var surface = []group{
	systemVerbs, tenantVerbs, branchVerbs, lifeVerbs, mountVerbs, computeVerbs, historyVerbs, logVerbs, exportVerbs, receiverVerbs, pushVerbs, accessVerbs, sessionVerbs,
}

// verbs has every verb by its name, which is in lower case.
var verbs = byName(surface)

func byName(groups []group) map[string]*verb {
	all := map[string]*verb{}
	for _, g := range groups {
		for _, one := range g.verbs {
			v := one.ready()
			if v.role == access.None {
				panic(fmt.Sprintf("verb %s does not say who may do it", v.name))
			}
			all[v.name] = v
		}
	}
	return all
}

// findVerb gives the verb that a statement names and checks the number of its arguments.
func findVerb(st statement) (*verb, error) {
	name := st[0].text
	v, found := verbs[strings.ToLower(name)]
	if !found {
		return nil, api.Errorf(api.ErrSyntax, "unknown command %q: the command help lists all", api.Clip(name))
	}
	if n := len(st) - 1; !v.args.fits(n) {
		return nil, api.Errorf(api.ErrSyntax, "%s: %d arguments; usage: %s", v.name, n, v.usage())
	}
	return v, nil
}

// call is one execution of a verb.
type call struct {
	*conn
	svc   api.Service
	verbs map[string]*verb // all verbs there are, by name
	args  []string         // as the client wrote them
	reply *reply
}
