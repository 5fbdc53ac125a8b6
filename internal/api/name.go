package api

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MainBranch is the branch that init makes, and the one that a point without a name is of.
const MainBranch = "main"

// maxNameLength bounds branch names.
const maxNameLength = 200

// nameRules say what a new branch may not be called: what git-check-ref-format(1) refuses, and
// what could be read as another kind of point. broken reports whether a name breaks the rule.
var nameRules = []struct {
	why    string
	broken func(name string) bool
}{
	{"is empty", func(n string) bool { return n == "" }},
	{"is too long", func(n string) bool { return len(n) > maxNameLength }},
	{"is not UTF-8", func(n string) bool { return !utf8.ValidString(n) || strings.ContainsRune(n, utf8.RuneError) }},
	{"may not begin with -", func(n string) bool { return strings.HasPrefix(n, "-") }},
	{`may not hold blanks, control characters or any of @ ~ ^ : ? * [ \`, func(n string) bool { return strings.ContainsFunc(n, barred) }},
	{"may not hold ..", func(n string) bool { return strings.Contains(n, "..") }},
	{"may not end with a dot", func(n string) bool { return strings.HasSuffix(n, ".") }},
	{"a part of it is empty", func(n string) bool { return anyPart(n, func(p string) bool { return p == "" }) }},
	{"a part of it begins with a dot", func(n string) bool { return anyPart(n, func(p string) bool { return p[0] == '.' }) }},
	{"a part of it ends with .lock", func(n string) bool { return anyPart(n, func(p string) bool { return strings.HasSuffix(p, ".lock") }) }},
	{"is reserved", func(n string) bool { return n == "HEAD" }},
	{"would be read as the id of a timeline", isTimelineID},
	{"would be read as an LSN or a time of branch " + MainBranch, isBareMoment},
}

// CheckName refuses names that a new branch may not have. Older branches may have them: a
// name is looked up as it is.
func CheckName(name string) error {
	for _, r := range nameRules {
		if r.broken(name) {
			return Errorf(ErrBadArgument, "branch name %q: %s", Clip(name), r.why)
		}
	}
	return nil
}

// barred reports whether no branch name may hold r.
func barred(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`@~^:?*[\`, r)
}

// anyPart reports whether is is true for a part of a name, between the slashes. All parts are
// known not to be empty when rules behind that one ask.
func anyPart(name string, is func(part string) bool) bool {
	for part := range strings.SplitSeq(name, "/") {
		if is(part) {
			return true
		}
	}
	return false
}

// isTimelineID reports whether name has the form of a timeline's id, 32 hex digits.
func isTimelineID(name string) bool {
	return len(name) == 32 && strings.Trim(name, "0123456789abcdefABCDEF") == ""
}
