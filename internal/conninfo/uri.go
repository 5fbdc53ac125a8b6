package conninfo

import (
	"fmt"
	"net/url"
	"strings"
)

// parseURI is conninfo_uri_parse of fe-connect.c. s is what follows the scheme:
//
//	[user[:password]@][host[:port][,host[:port]]...][/dbname][?keyword=value[&...]]
func parseURI(s string) (info Info, err error) {
	if at := strings.IndexAny(s, "@/"); at >= 0 && s[at] == '@' {
		user, password, hasPassword := strings.Cut(s[:at], ":")
		if user != "" {
			err = info.setDecoded("user", user)
		}
		if hasPassword && err == nil {
			err = info.setDecoded("password", password)
		}
		s = s[at+1:]
	}
	s, query, _ := strings.Cut(s, "?")
	authority, dbname, _ := strings.Cut(s, "/")
	if err == nil {
		err = info.setHosts(authority)
	}
	if err == nil && dbname != "" {
		err = info.setDecoded("dbname", dbname)
	}
	if err == nil && query != "" {
		err = info.setQuery(query)
	}
	return info, err
}

// setHosts sets host and port from a list of HOST:PORT, either of which may be missing. An IPv6 address is
// in brackets.
func (i *Info) setHosts(list string) error {
	var hosts, ports []string
	hasPort := false
	for _, one := range strings.Split(list, ",") {
		host, port := one, ""
		if end := strings.LastIndexByte(one, ']'); strings.HasPrefix(one, "[") && end > 0 {
			host, port = one[1:end], one[end+1:]
			if port != "" && port[0] != ':' {
				return fmt.Errorf("%w: want a port behind an address in brackets", ErrSyntax)
			}
			port = strings.TrimPrefix(port, ":")
		} else {
			host, port, _ = strings.Cut(one, ":")
		}
		hosts, ports = append(hosts, host), append(ports, port)
		hasPort = hasPort || port != ""
	}
	var err error
	if list := strings.Join(hosts, ","); list != "" {
		err = i.setDecoded("host", list)
	}
	if hasPort && err == nil {
		err = i.setDecoded("port", strings.Join(ports, ","))
	}
	return err
}

// setQuery sets what stands behind the question mark. There a plus sign is one, unlike in HTML's forms.
func (i *Info) setQuery(query string) error {
	for pair := range strings.SplitSeq(query, "&") {
		keyword, value, found := strings.Cut(pair, "=")
		if !found || keyword == "" {
			return fmt.Errorf("%w: want KEYWORD=VALUE behind the question mark", ErrSyntax)
		}
		keyword, err := url.PathUnescape(keyword)
		if err != nil {
			return fmt.Errorf("%w: a percent sign wants two hex digits", ErrSyntax)
		}
		if keyword = canonical(keyword); keyword == "ssl" && value == "true" { // JDBC's
			keyword, value = "sslmode", "require"
		}
		if err := i.setDecoded(keyword, value); err != nil {
			return err
		}
	}
	return nil
}

// setDecoded sets a keyword to a value that is percent-encoded.
func (i *Info) setDecoded(keyword, value string) error {
	decoded, err := url.PathUnescape(value)
	if err != nil || strings.ContainsRune(decoded, 0) {
		return fmt.Errorf("%w: a percent sign wants two hex digits, not zero", ErrSyntax)
	}
	i.Set(keyword, decoded)
	return nil
}
