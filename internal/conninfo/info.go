package conninfo

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrSyntax is returned when a string is no connection string.
var ErrSyntax = errors.New("bad connection string")

// Info is a connection string that was taken apart. The zero Info is the empty string.
type Info struct {
	order  []string // keywords, in the order in which they were first set
	values map[string]string
}

// Get gives a keyword's value, "" if it has none.
func (i Info) Get(keyword string) string { return i.values[keyword] }

// Has reports whether a keyword was given a value, be it "".
func (i Info) Has(keyword string) bool {
	_, has := i.values[keyword]
	return has
}

// Set gives a keyword another value.
func (i *Info) Set(keyword, value string) {
	if i.values == nil {
		i.values = map[string]string{}
	}
	if !i.Has(keyword) {
		i.order = append(i.order, keyword)
	}
	i.values[keyword] = value
}

// Default gives a keyword a value if it has none, unless the value is "".
func (i *Info) Default(keyword, value string) {
	if value != "" && !i.Has(keyword) {
		i.Set(keyword, value)
	}
}

// Without gives a copy that lacks some keywords.
func (i Info) Without(keywords ...string) Info {
	c := Info{values: maps.Clone(i.values)}
	for _, k := range i.order {
		if slices.Contains(keywords, k) {
			delete(c.values, k)
		} else {
			c.order = append(c.order, k)
		}
	}
	return c
}

// Keywords gives the keywords that have values, in the order in which they were first set.
func (i Info) Keywords() []string { return slices.Clone(i.order) }

// Hosts gives the servers to try, one after the other: "" stands for libpq's default.
func (i Info) Hosts() []string { return strings.Split(i.Get("host"), ",") }

// IsSocket reports whether a host is the directory of a unix socket, or an abstract one.
func IsSocket(host string) bool { return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") }

// String gives the whole connection string, passwords too, as KEYWORD=VALUE pairs.
func (i Info) String() string {
	var pairs []string
	for _, k := range i.order {
		pairs = append(pairs, k+"="+quote(i.values[k]))
	}
	return strings.Join(pairs, " ")
}

// Public gives the connection string without secrets, for messages and lists.
func (i Info) Public() string { return i.Without(secrets()...).String() }

// quote writes a value such that parsePairs reads it back.
func quote(value string) string {
	if value != "" && !strings.ContainsAny(value, " \t\n\r\v\f'\\=") {
		return value
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// Parse takes a connection string apart, in either form.
func Parse(s string) (Info, error) {
	if strings.ContainsRune(s, 0) {
		return Info{}, fmt.Errorf("%w: it has a zero byte", ErrSyntax)
	}
	for _, scheme := range []string{"postgresql://", "postgres://"} {
		if rest, isURI := strings.CutPrefix(s, scheme); isURI {
			return parseURI(rest)
		}
	}
	return parsePairs(s)
}

// space is what isspace accepts in C.
const space = " \t\n\r\v\f"

// parsePairs is conninfo_parse of fe-connect.c.
func parsePairs(s string) (info Info, err error) {
	for s = strings.TrimLeft(s, space); s != ""; s = strings.TrimLeft(s, space) {
		end := strings.IndexAny(s, space+"=")
		if end <= 0 {
			return info, fmt.Errorf("%w: want KEYWORD=VALUE pairs", ErrSyntax)
		}
		keyword := s[:end]
		rest, found := strings.CutPrefix(strings.TrimLeft(s[end:], space), "=")
		if !found {
			return info, fmt.Errorf("%w: want KEYWORD=VALUE pairs", ErrSyntax)
		}
		var value string
		if value, s, err = cutValue(strings.TrimLeft(rest, space)); err != nil {
			return info, err
		}
		info.Set(canonical(keyword), value)
	}
	return info, nil
}

// cutValue reads the value at the beginning of s. A backslash makes the next byte stand for itself.
func cutValue(s string) (value, rest string, err error) {
	quoted := strings.HasPrefix(s, "'")
	if quoted {
		s = s[1:]
	}
	var b strings.Builder
	for n := 0; n < len(s); n++ {
		switch c := s[n]; {
		case c == '\\':
			if n++; n < len(s) {
				b.WriteByte(s[n])
			}
		case quoted && c == '\'':
			return b.String(), s[n+1:], nil
		case !quoted && strings.IndexByte(space, c) >= 0:
			return b.String(), s[n:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", fmt.Errorf("%w: a quote does not end", ErrSyntax)
	}
	return b.String(), "", nil
}

// canonical gives the one name that a keyword with several has.
func canonical(keyword string) string {
	if keyword == "database" {
		return "dbname"
	}
	return keyword
}
