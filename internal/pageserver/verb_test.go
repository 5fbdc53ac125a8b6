package pageserver

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// wide has a field of each kind that a column may be.
type wide struct {
	Text   string        `json:"text"`
	LSN    pg.LSN        `json:"lsn"`
	Small  int           `json:"small"`
	Big    int64         `json:"big"`
	TLI    pg.TLI        `json:"tli"`
	SysID  uint64        `json:"sysid"`
	At     time.Time     `json:"at"`
	Took   time.Duration `json:"took"`
	Page   pg.Page       `json:"page"`
	List   []string      `json:"list"`
	Maybe  *pg.LSN       `json:"maybe"`
	Absent *string       `json:"absent"`
	*api.CheckResult
}

var aWide = wide{
	Text: "a b", LSN: 0x16B3748, Small: -1, Big: math.MinInt64, TLI: math.MaxUint32, SysID: math.MaxUint64, At: time.Date(2026, 11, 22, 10, 0, 0, 123456000, time.UTC),
	Took: 5 * time.Millisecond, Page: pg.Page{0, 0xFF}, List: []string{"x"}, Maybe: new(pg.LSN(0)), CheckResult: &api.CheckResult{Pages: 7},
}

// texts gives a row as a client gets it in text format, and the names of its columns.
func texts(t *testing.T, s *rowShape, row any) (names []string, values [][]byte) {
	t.Helper()
	all, err := s.values(row)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range all {
		text, err := encodeValue(v, s.cols[i].typ, formatText)
		if err != nil {
			t.Fatal(err)
		}
		names, values = append(names, s.cols[i].name), append(values, text)
	}
	return names, values
}

func TestRowsAreReadByName(t *testing.T) {
	shape := rowOf[wide]()
	names, values := texts(t, shape, aWide)
	var got []wide
	r := &rowsOf[wide]{shape: shape, got: func(w wide) error { got = append(got, w); return nil }}
	read := func(names []string, values [][]byte) wide {
		t.Helper()
		r.describe(names)
		if err := r.read(values); err != nil {
			t.Fatal(err)
		}
		return got[len(got)-1]
	}
	if w := read(names, values); !w.At.Equal(aWide.At) || w.Text != aWide.Text {
		t.Errorf("got %+v", w)
	} else if w.At = aWide.At; !reflect.DeepEqual(w, aWide) {
		t.Errorf("got  %+v\nwant %+v", w, aWide)
	}
	// A newer server has more columns, an older one fewer; and the order is nobody's business.
	w := read([]string{"role", "big", "text"}, [][]byte{[]byte("reader"), []byte("3"), []byte("x")})
	if want := (wide{Text: "x", Big: 3}); !reflect.DeepEqual(w, want) {
		t.Errorf("got %+v, want %+v", w, want)
	}
	none, empty := texts(t, shape, wide{})
	w = read(none, empty)
	if w.CheckResult != nil || w.Maybe != nil || w.Absent != nil || len(w.List) != 0 {
		t.Errorf("NULLs became %+v", w)
	}
	for i, name := range none {
		if null := empty[i] == nil; null != (name == "maybe" || name == "absent" || i >= len(none)-5) {
			t.Errorf("column %s of a zero struct: %q", name, empty[i])
		}
	}
}

func TestRowsThatCannotBeRead(t *testing.T) {
	for name, text := range map[string]string{
		"lsn": "x", "small": "2147483648000000000000", "big": "", "tli": "-1", "sysid": "18446744073709551616", "at": "yesterday", "took": "1.5", "page": "00", "list": "{}",
	} {
		r := &rowsOf[wide]{shape: rowOf[wide](), got: func(wide) error { return nil }}
		r.describe([]string{name})
		err := r.read([][]byte{[]byte(text)})
		if !errors.Is(err, api.ErrProtocol) || !strings.HasPrefix(err.Error(), "column "+name+": ") {
			t.Errorf("%s %q: got %v", name, text, err)
		}
		if err := r.read([][]byte{nil, nil}); !errors.Is(err, api.ErrProtocol) {
			t.Errorf("a row of two columns where one was described: got %v", err)
		}
	}
}

// TestArgumentsComeBack: words that a client writes are the arguments that it had.
func TestArgumentsComeBack(t *testing.T) {
	for _, args := range []any{
		noArgs{}, tenantArgs{"t"}, identifyArgs{}, identifyArgs{Tenant: "t"}, identifyArgs{Branch: "b"},
		mountArgs{Tenant: "t", Point: "a b", Dir: "/d"}, mountArgs{"t", "p", "/d", true}, umountArgs{"/d", true},
		pgStartArgs{"t", "p", computeArgs{Port: 5, Settings: []api.Setting{{Name: "a", Value: "b=c d"}, {Name: "e"}}}}, pgStartArgs{Tenant: "t", Point: "p"},
		pgStopArgs{"t", "n", stopArgs{Mode: "fast", Destroy: true}}, pgStopArgs{Tenant: "t", Name: "n"},
		walDumpArgs{Tenant: "t", Branch: "b"}, walDumpArgs{Tenant: "t", Branch: "b", To: 7}, walDumpArgs{"t", "b", 1, 2, zoneArg{time.UTC}},
		pageDumpArgs{"t", "p", "base/1", math.MaxUint32}, checkArgs{Tenant: "t"},
		gcArgs{Tenant: "t"}, gcArgs{"t", "b", api.Retain{Set: true}, true}, gcArgs{"t", "b", api.Retain{Set: true, Bytes: 1}, false}, gcArgs{"t", "b", api.Retain{Set: true, Time: time.Hour}, true},
		branchDeleteArgs{"t", "n", true}, branchUndeleteArgs{Tenant: "t", Name: "n"}, branchUndeleteArgs{"t", "n", "m"},
		gcArgs{Tenant: "t", Force: true}, gcPlanArgs{Tenant: "t"}, gcPlanArgs{"t", "", api.Retain{Set: true, Bytes: 1}},
		backupArgs{Tenant: "t", Branch: "b"}, backupArgs{"t", "b", new(pg.LSN(0))}, leaseArgs{"t", "b", 9},
		pushArgs{Tenant: "t", Branch: "b", ConnInfo: "host='a b'"}, offerArgs{"t", offerArg{api.Offer{TimelineID: "x", Start: 3}}},
	} {
		shape := shapeOfArgs(t, args)
		words, err := shape.words(args)
		if err != nil {
			t.Errorf("%+v: %v", args, err)
			continue
		}
		if !shape.fits(len(words)) {
			t.Errorf("%+v: %q is not %s", args, words, shape.usage())
		}
		back := reflect.New(reflect.TypeOf(args))
		if err := shape.parse(words, back.Interface()); err != nil || !reflect.DeepEqual(back.Elem().Interface(), args) {
			t.Errorf("%q: got %+v, %v, want %+v", words, back.Elem(), err, args)
		}
	}
}

// shapeOfArgs finds the shape that a verb has for arguments of a type.
func shapeOfArgs(t *testing.T, args any) *argShape {
	t.Helper()
	for _, g := range surface {
		for _, v := range g.verbs {
			do := reflect.ValueOf(v).Elem().FieldByName("do")
			if do.Type().In(2) == reflect.TypeOf(args) {
				return v.ready().args
			}
		}
	}
	t.Fatalf("no verb takes a %T", args)
	return nil
}
