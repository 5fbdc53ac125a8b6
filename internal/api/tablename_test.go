package api_test

import (
	"errors"
	"slices"
	"testing"

	"zenith/internal/api"
)

// TestParseTableName: names are split and folded as PostgreSQL does it.
func TestParseTableName(t *testing.T) {
	for text, want := range map[string]api.TableName{
		"users": {"users"}, "Public.Users": {"public", "users"}, `app."Odd.one"."a""b"`: {"app", "Odd.one", `a"b`},
		"": nil, "a.": nil, ".a": nil, "a.b.c.d": nil, `"a`: nil, `"a"b`: nil,
	} {
		got, err := api.ParseTableName(text)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) || err != nil && !errors.Is(err, api.ErrBadArgument) {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
}

// TestTableName: which tables and databases a name is one of.
func TestTableName(t *testing.T) {
	for _, c := range []struct {
		name            string
		table, database bool
	}{
		{"orders", true, false}, {"public.orders", true, false}, {"app.orders", true, false}, {"app.public.orders", true, false},
		{"other.orders", false, false}, {"other.public.orders", false, false}, {"app", false, true},
	} {
		n, err := api.ParseTableName(c.name)
		if err != nil || n.IsTable("app", "public", "orders") != c.table || n.IsDatabase("app") != c.database {
			t.Errorf("%q: %v, %v, %v", c.name, n.IsTable("app", "public", "orders"), n.IsDatabase("app"), err)
		}
	}
	if n, _ := api.ParseTableName("app.orders"); n.IsTable("app", "sales", "orders") {
		t.Error("the schema of a table is left out though it is not public")
	}
}
