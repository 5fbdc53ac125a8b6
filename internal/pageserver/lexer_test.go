package pageserver

import (
	"reflect"
	"strings"
	"testing"

	"zenith/internal/api"
)

func TestParseStatements(t *testing.T) {
	tests := []struct {
		in   string
		want [][]string
	}{
		{"", nil},
		{" ;; -- nothing\n;", nil},
		{"-- ping", nil},
		{"status", [][]string{{"status"}}},
		{"a b\tc\nd;", [][]string{{"a", "b", "c", "d"}}},
		{`lsn t "my branch"@0/16B3748`, [][]string{{"lsn", "t", "my branch@0/16B3748"}}},
		{`a "say ""hi""" 'it''s' "it's" '"'`, [][]string{{"a", `say "hi"`, "it's", "it's", `"`}}},
		{`a "" ''`, [][]string{{"a", "", ""}}},
		{`a "x;y";b`, [][]string{{"a", "x;y"}, {"b"}}},
		{"lsn t main@-15m", [][]string{{"lsn", "t", "main@-15m"}}},
		{"a -- b\nc", [][]string{{"a", "c"}}},
	}
	for _, tt := range tests {
		got, err := parseStatements(tt.in)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		var words [][]string
		for _, st := range got {
			args, err := st.args(nil)
			if err != nil {
				t.Errorf("%q: %v", tt.in, err)
			}
			words = append(words, args)
		}
		if !reflect.DeepEqual(words, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.in, words, tt.want)
		}
	}
}

func TestParseStatementsRefuses(t *testing.T) {
	for _, in := range []string{`a "b`, `a 'b''`, `a $0`, `a $101`, `a $99999999999999999999`, strings.Repeat("x ", maxWords+1)} {
		if got, err := parseStatements(in); !isKind(err, api.ErrSyntax) {
			t.Errorf("%.40q: got %v, %v, want a syntax error", in, got, err)
		}
	}
}

func TestParameters(t *testing.T) {
	got, err := parseStatements(`branch_create $1 "$2" $2 $x$1`)
	if err != nil {
		t.Fatal(err)
	}
	if n := got[0].params(); n != 2 {
		t.Errorf("got %d parameters, want 2", n)
	}
	args, err := got[0].args([]string{"T", "a b"})
	if want := []string{"branch_create", "T", "$2", "a b", "$x$1"}; err != nil || !reflect.DeepEqual(args, want) {
		t.Errorf("got %q, %v, want %q", args, err, want)
	}
	if _, err := got[0].args([]string{"T"}); !isKind(err, api.ErrSyntax) {
		t.Errorf("a missing parameter: got %v", err)
	}
}

func FuzzJoinWords(f *testing.F) {
	f.Add("a", "b c")
	f.Add(`"`, `''--;`)
	f.Fuzz(func(t *testing.T, a, b string) {
		got, err := parseStatements(joinWords("cmd", a, b))
		if err != nil || len(got) != 1 {
			t.Fatalf("got %v, %v", got, err)
		}
		args, err := got[0].args(nil)
		if want := []string{"cmd", a, b}; err != nil || !reflect.DeepEqual(args, want) {
			t.Errorf("got %q, %v, want %q", args, err, want)
		}
	})
}

func TestSQLStatesAndKinds(t *testing.T) {
	for _, k := range kinds {
		back := kindOf(sqlState(k.err))
		if back == nil || sqlState(back) != k.state {
			t.Errorf("%v: SQLSTATE %s comes back as %v", k.err, k.state, back)
		}
	}
	if got := kindOf(internalError); got != nil {
		t.Errorf("internal error has the kind %v", got)
	}
}

func TestAddress(t *testing.T) {
	tests := []struct{ in, want string }{
		{"127.0.0.1:6400", "127.0.0.1:6400"}, {"db.example", "db.example:6400"}, {"::1", "[::1]:6400"}, {"[::1]:7000", "[::1]:7000"},
		{"host=h port=7000 user=x", "h:7000"}, {"host='h'", "h:6400"}, {"port=7000", "127.0.0.1:7000"},
		{"postgresql://h:7000/db", "h:7000"}, {"postgres://u:p@h", "h:6400"},
		{"", ""}, {"a b", ""}, {"postgresql://", ""}, {"host='h", ""},
	}
	for _, tt := range tests {
		got, err := Address(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: got %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestVerified(t *testing.T) {
	for in, want := range map[string]string{
		"host=db7 user=x":                   "host=db7 user=x sslmode=verify-full",
		"host=db7 sslmode=disable":          "host=db7 sslmode=disable",
		"host=127.0.0.1 user=x":             "host=127.0.0.1 user=x",
		"host=/run/x":                       "host=/run/x",
		"host=localhost,db8":                "host=localhost,db8 sslmode=verify-full",
		"host=localhost hostaddr=192.0.2.1": "host=localhost hostaddr=192.0.2.1 sslmode=verify-full",
		"nonsense":                          "nonsense",
	} {
		if got := verified(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
