package pageserver

import (
	"encoding"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"zenith/internal/api"
)

// argShape says how the words of a command are the fields of a struct, each of which has a tag:
//
//	Point string   `arg:"POINT"`              the next word
//	From  pg.LSN   `arg:"FROM,optional"`      may be left out, with all that follow
//	Lazy  bool     `arg:"lazy"`               that very word, or nothing
//	Rest  []string `arg:"NAME = VALUE"`       all words that are left: a []string, or a wordList
//	Two   []string `arg:"[a] [b],optional,2"` at most two of them
//
// A field is a string, a 32-bit number, or its type has a text form. What a name in capitals
// stands for is in the table of placeholders.
type argShape struct {
	fields   []argField
	min, max int // number of words; max < 0: any
}

type argField struct {
	name     string
	index    int
	optional bool
	rest     bool
}

// wordList is a field that takes all words that are left.
type wordList interface {
	setWords(words []string) error
	words() []string
}

// argsOf gives the shape of A, which is a struct type.
func argsOf[A any]() *argShape {
	t := reflect.TypeFor[A]()
	s := &argShape{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := strings.Split(f.Tag.Get("arg"), ",")
		if tag[0] == "" {
			panic(fmt.Sprintf("%v: field %s has no arg tag", t, f.Name))
		}
		arg := argField{name: tag[0], index: i}
		arg.optional = len(tag) > 1 || f.Type.Kind() == reflect.Bool
		arg.rest = f.Type == reflect.TypeFor[[]string]() || reflect.PointerTo(f.Type).Implements(reflect.TypeFor[wordList]())
		s.fields = append(s.fields, arg)
		s.max++
		if !arg.optional {
			s.min++
		}
		if arg.rest {
			s.max = -1
		}
		if arg.rest && len(tag) > 2 {
			most, err := strconv.Atoi(tag[2])
			if err != nil {
				panic(fmt.Sprintf("%v: field %s: %v", t, f.Name, err))
			}
			s.max = i + most
		}
	}
	return s
}

// usage gives the arguments as a user reads them: TENANT BRANCH [FROM [TO]].
func (s *argShape) usage() string {
	var b strings.Builder
	open := 0
	for i, f := range s.fields {
		if i > 0 {
			b.WriteByte(' ')
		}
		if f.optional && !f.rest {
			b.WriteByte('[')
			open++
		}
		b.WriteString(f.name)
	}
	return b.String() + strings.Repeat("]", open)
}

// fits reports whether a command may have n words behind its name.
func (s *argShape) fits(n int) bool { return n >= s.min && (s.max < 0 || n <= s.max) }

// parse reads words, of which there are enough and not too many, into args, a pointer to a
// struct of the shape's type.
func (s *argShape) parse(words []string, args any) error {
	into := reflect.ValueOf(args).Elem()
	for i, f := range s.fields {
		if i >= len(words) {
			return nil
		}
		field := into.Field(f.index)
		if f.rest {
			return setWords(field, words[i:])
		}
		if err := f.setWord(field, words[i]); err != nil {
			return err
		}
	}
	return nil
}

func setWords(field reflect.Value, words []string) error {
	if list, ok := field.Addr().Interface().(wordList); ok {
		return badArgument(list.setWords(words))
	}
	field.Set(reflect.ValueOf(words))
	return nil
}

func (f *argField) setWord(field reflect.Value, word string) error {
	if p, known := placeholders[f.name]; known && p.check != nil {
		if err := p.check(word); err != nil {
			return err
		}
	}
	if field.Kind() == reflect.Pointer {
		if word == "" { // as if it were left out
			return nil
		}
		field = allocate(field)
	}
	if text, ok := field.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return badArgument(text.UnmarshalText([]byte(word)))
	}
	switch field.Kind() {
	case reflect.Bool:
		if !strings.EqualFold(word, f.name) {
			return api.Errorf(api.ErrSyntax, "%q: want %q or nothing", api.Clip(word), f.name)
		}
		field.SetBool(true)
	case reflect.Uint32:
		n, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return api.Errorf(api.ErrBadArgument, "%s %q: want a number below 2^32", strings.ToLower(f.name), api.Clip(word))
		}
		field.SetUint(n)
	default:
		field.SetString(word)
	}
	return nil
}

// badArgument gives an error of a type's text form its kind.
func badArgument(err error) error {
	if err == nil || errors.As(err, new(*api.Error)) {
		return err
	}
	return &api.Error{Kind: api.ErrBadArgument, Msg: err.Error()}
}

// words is the inverse of parse. Optional arguments that are zero are left out at the end.
func (s *argShape) words(args any) ([]string, error) {
	from := reflect.ValueOf(args)
	var words []string
	needed := 0
	for _, f := range s.fields {
		field := from.Field(f.index)
		if f.rest {
			words = append(words, wordsOf(field)...)
			needed = len(words)
			continue
		}
		word, err := f.word(field)
		if err != nil {
			return nil, err
		}
		words = append(words, word)
		if !f.optional || !field.IsZero() {
			needed = len(words)
		}
	}
	return words[:needed], nil
}

func wordsOf(field reflect.Value) []string {
	if words, ok := field.Interface().([]string); ok {
		return words
	}
	list := reflect.New(field.Type())
	list.Elem().Set(field)
	return list.Interface().(wordList).words()
}

func (f *argField) word(field reflect.Value) (string, error) {
	if field.Kind() == reflect.Pointer {
		if field.IsNil() {
			return "", nil
		}
		field = field.Elem()
	}
	if text, ok := field.Interface().(encoding.TextMarshaler); ok {
		b, err := text.MarshalText()
		return string(b), err
	}
	switch field.Kind() {
	case reflect.Bool:
		return f.name, nil
	case reflect.Uint32:
		return strconv.FormatUint(field.Uint(), 10), nil
	}
	return field.String(), nil
}

// placeholder is what the name of an argument stands for.
type placeholder struct {
	help   string
	check  func(word string) error // nil: the Service or the field's type checks it
	secret bool                    // it is in no log
}

// placeholders has all names of arguments in capitals.
var placeholders = map[string]placeholder{
	"ALL":            {help: "any word"},
	"BLOCK":          {help: "number of a block, from the start of the relation"},
	"BRANCH":         {help: "name of a branch, or the id of its timeline"},
	"COMMAND":        {help: "name of a command, in any case"},
	"CONNINFO":       {help: "connection string of libpq; `HOST:PORT` does for a page server"},
	"DIR":            {help: "absolute path on the page server's machine", check: absolute},
	"DURATION|BYTES": {help: "age of history (`90s`, `36h`, `7d`) or bytes of WAL (`512MB`, `10GB`); the unit is required"},
	"EXPIRES":        {help: "how long from now: `30d`, `12h`; or `never`"},
	"FILTER":         {help: "any of `since=POINT`, `table=NAME`, `what=WHAT` (`created`, `dropped`, `truncated`, `rewritten`, `altered` or `advanced`), `limit=N`, `rows=N`, `xid=N`, `all` (aborted ones too), `follow`"},
	"FROM":           {help: "LSN"},
	"HORIZON_BYTES":  {help: "bytes of WAL, a number"},
	"LSN":            {help: "`0/16B3748`, `0_16B3748` or 16 hex digits"},
	"MAJOR":          {help: "major version of PostgreSQL: `17`; `pg_distribs` lists those that are installed"},
	"NAME":           {help: "name of a branch, or of a postgres as `pg_list` shows it"},
	"NEW_NAME":       {help: "name for a branch, instead of the one that it had"},
	"NOTE":           {help: "any text"},
	"OFFER":          {help: "JSON that describes a timeline; page servers send it to each other", secret: true},
	"OWNER":          {help: "any text: who made the branch, or whom to ask"},
	"PATH":           {help: "file of a relation in the data directory: `base/5/16384_vm`"},
	"POINT":          {help: "state of a branch: `NAME` is its head, `NAME@LSN` and `NAME@TIME` do not move; TIME is `2026-11-30 16:18:26.4+01`, a day or a time of day in the page server's zone, or an age (`-15m`); `NAME@` may be left out before a moment of main"},
	"ROLE":           {help: "`reader`, `writer` or `admin`"},
	"TAG":            {help: "name of a tag; where a point is wanted, it is one: `v42`, or `main@v42`"},
	"TENANT":         {help: "id of a tenant, 32 hex digits"},
	"TENANTS":        {help: "ids of tenants, with commas between them; or `all`"},
	"THEIR_TENANT":   {help: "id of the tenant there, if it is another one"},
	"TIMELINE":       {help: "id of a timeline, 32 hex digits"},
	"TIMEZONE":       {help: "name of a time zone: `Europe/Vienna`; default UTC"},
	"TO":             {help: "LSN"},
	"TOKEN_ID":       {help: "id of a token, as `token_list` shows it"},
	"USER":           {help: "name of a user"},
	"WHEN":           {help: "how long from now (`2h`, `7d`), a time (`2026-12-01T09:00Z`), or `never`"},
	"VERIFIER":       {help: "what is stored of a password: `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY`, as in `pg_authid`", secret: true},
}

// absolute refuses a path that would mean something else to the page server than to the client.
func absolute(dir string) error {
	if !filepath.IsAbs(dir) {
		return api.Errorf(api.ErrBadArgument, "%s: not an absolute path", api.Clip(dir))
	}
	return nil
}
