package api

import "strings"

// TableName is a table's name as a user writes it: TABLE, SCHEMA.TABLE or DATABASE.SCHEMA.TABLE, part by part.
type TableName []string

// ParseTableName splits a name with up to three parts as PostgreSQL does: what is not in double quotes is in lower case.
func ParseTableName(s string) (TableName, error) {
	parts, ok := splitName(s)
	if !ok {
		return nil, Errorf(ErrBadArgument, "table %q: want TABLE, SCHEMA.TABLE or DATABASE.SCHEMA.TABLE", Clip(s))
	}
	return parts, nil
}

// IsTable reports whether it is a table's name. Two parts may also be those of the name that zenith shows, which leaves
// the schema out if that is public.
func (n TableName) IsTable(database, schema, table string) bool {
	switch len(n) {
	case 1:
		return table == n[0]
	case 2:
		return table == n[1] && (schema == n[0] || schema == "public" && database == n[0])
	}
	return table == n[2] && schema == n[1] && database == n[0]
}

// IsDatabase reports whether it is a database's name.
func (n TableName) IsDatabase(name string) bool { return len(n) == 1 && n[0] == name }

func splitName(name string) (parts []string, ok bool) {
	for {
		var part string
		if rest, quoted := strings.CutPrefix(name, `"`); quoted {
			var b strings.Builder
			for {
				before, after, found := strings.Cut(rest, `"`)
				if !found {
					return nil, false
				}
				b.WriteString(before)
				if rest, found = strings.CutPrefix(after, `"`); !found {
					break
				}
				b.WriteByte('"')
			}
			part, name = b.String(), rest
		} else {
			end := strings.IndexByte(name, '.')
			if end < 0 {
				end = len(name)
			}
			part, name = strings.ToLower(name[:end]), name[end:]
		}
		parts = append(parts, part)
		if part == "" || len(parts) > 3 {
			return nil, false
		}
		if name == "" {
			return parts, true
		}
		if name, ok = strings.CutPrefix(name, "."); !ok {
			return nil, false
		}
	}
}
