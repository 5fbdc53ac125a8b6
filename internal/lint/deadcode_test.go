package lint_test

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
)

var deadcode = flag.String("deadcode", "", "what the deadcode tool says of ./cmd/..., as JSON; `make lint` gives it")

// forOthers lists what the shipped packages have although zenith does not call it, and for whom. A name is
// that of a function, or of a type for all of its methods.
var forOthers = map[string]string{
	"zenith/walredo.Redo": "other modules give it to repo.Open, and bench",
	"zenith/walredo.Mask": "tests of several packages compare pages as PostgreSQL does",
}

// TestDeadCode refuses functions of shipped packages that no program calls. What only tests call belongs into
// a _test.go file or a package for tests.
func TestDeadCode(t *testing.T) {
	if *deadcode == "" {
		t.Skip("no output of deadcode is given: `make lint` makes it")
	}
	text, err := os.ReadFile(*deadcode)
	if err != nil {
		t.Fatal(err)
	}
	var packages []struct {
		Path  string
		Funcs []struct {
			Name     string
			Position struct {
				File string
				Line int
			}
		}
	}
	if err := json.Unmarshal(text, &packages); err != nil {
		t.Fatalf("read %s: %v", *deadcode, err)
	}
	used := map[string]bool{}
	for _, p := range packages {
		for _, f := range p.Funcs {
			if name := onList(p.Path, f.Name); name != "" {
				used[name] = true
				continue
			}
			t.Errorf("%s:%d: no program calls %s.%s, only tests may", f.Position.File, f.Position.Line, p.Path, f.Name)
		}
	}
	for name := range forOthers {
		if !used[name] {
			t.Errorf("%s is on the list, and a program calls it or it is gone", name)
		}
	}
}

// onList gives the entry of forOthers that allows a function, "" if there is none.
func onList(path, function string) string {
	owner, _, _ := strings.Cut(function, ".")
	for _, name := range []string{path + "." + function, path + "." + owner} {
		if forOthers[name] != "" {
			return name
		}
	}
	return ""
}
